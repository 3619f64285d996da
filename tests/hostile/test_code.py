"""What the code never does, looked for in its syntax: a comment that silences the linter does not help here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("service", "workers", "scripts", "tests")
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
"""What reads back objects reads back code."""
NEVER = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
"""Calls that are safe with this argument only."""
REFUSED = {"shell": False, "trust_remote_code": False, "verify": True}
"""Arguments that may have this value alone: shells, code that comes with weights, certificates that nobody looks at."""
YAML = {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}


def parsed(*folders: str) -> list[tuple[Path, ast.Module]]:
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    code = [path for path in paths if path.suffix == ".py" or (path.suffix == "" and _is_python(path))]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(code)]


def _is_python(path: Path) -> bool:
    return path.read_bytes()[:60].startswith(b"#!") and b"python" in path.read_bytes().split(b"\n", 1)[0]


def wrong_in(tree: ast.Module) -> list[str]:
    """What is wrong, with the number of its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"line {node.lineno}: imports {name}" for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            found += [f"line {node.lineno}: {what}" for what in _wrong_call(node)]
    return found


def _wrong_call(node: ast.Call) -> list[str]:
    called = ast.unparse(node.func)
    given = {one.arg: ast.unparse(one.value) for one in node.keywords}
    needed = dict([NEEDED[called]]) if called in NEEDED else {}
    if called.startswith("AutoModel") and called.endswith("from_pretrained"):
        needed = {"use_safetensors": True}
    wrong = [f"calls {called}"] if called in NEVER | YAML else []
    wrong += [f"{called} without {name}={value}" for name, value in needed.items() if given.get(name) != str(value)]
    wrong += [
        f"{name}={given[name]}" for name, value in REFUSED.items() if name in given and given[name] == str(not value)
    ]
    return wrong


def test_nothing_runs_what_it_reads():
    trees = parsed(*FOLDERS)
    assert len(trees) > 400
    wrong = {str(path.relative_to(ROOT)): found for path, tree in trees if (found := wrong_in(tree))}
    assert wrong == {}


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from dill import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "AutoModel.from_pretrained(name)",
        "AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=True)",
        "httpx.get(url, verify=False)",
    ],
)
def test_this_would_be_found(code):
    assert wrong_in(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path, weights_only=True)",
        "yaml.safe_load(text)",
        "np.load(path, allow_pickle=False)",
        "network.eval()",
        "re.compile(text)",
        "AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)",
    ],
)
def test_this_is_fine(code):
    assert wrong_in(ast.parse(code)) == []
