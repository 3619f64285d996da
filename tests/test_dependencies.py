"""pyproject.toml against the code: what is imported at runtime is declared, not only brought along by others."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OWN = {"service", "workers"}
PARTS = {"pydantic_core": "pydantic"}  # of one version with its whole


OPTIONAL = ("faster",)  # extras whose absence the code meets with a sentence


def imported(*folders):
    """Top-level modules that the code imports, anywhere in it; by name the first file that does."""
    found = {}
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], path.relative_to(ROOT))
    return {name: path for name, path in found.items() if name not in OWN | set(sys.stdlib_module_names)}


def normal(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_whatever_the_service_imports_is_declared_for_runtime():
    extras = PYPROJECT["project"]["optional-dependencies"]
    lines = PYPROJECT["project"]["dependencies"] + [one for extra in OPTIONAL for one in extras[extra]]
    declared = {normal(re.match(r"[\w.-]+", one)[0]) for one in lines}
    distributions = packages_distributions()
    missing = {
        name: str(path)
        for name, path in imported("service", "workers").items()
        if not declared & {PARTS.get(name), *(normal(one) for one in distributions.get(name, [name]))}
    }
    assert not missing


def test_mypy_passes_over_no_module_that_nobody_imports():
    (override,) = PYPROJECT["tool"]["mypy"]["overrides"]
    used = imported("service", "workers")
    assert [name for name in override["module"] if name.removesuffix(".*") not in used] == []


def test_the_bill_of_materials_lists_every_pinned_package_in_its_version(tmp_path):
    """With the command of scripts/sbom; its own check against the schema takes long and is CI's."""
    script = (ROOT / "scripts" / "sbom").read_text(encoding="utf-8")
    assert "--validate " in script
    file = tmp_path / "sbom.json"
    command = [Path(sys.executable).with_name("cyclonedx-py"), "environment", "--no-validate", "--output-file", file]
    subprocess.run([*command, "--pyproject", ROOT / "pyproject.toml", sys.executable], check=True, capture_output=True)
    listed = {
        normal(one["name"]): one["version"].partition("+")[0] for one in json.loads(file.read_text())["components"]
    }
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(pinned) > 100
    installed = {normal(name): version for name, version in pinned if normal(name) in listed}
    assert len(installed) > 0.9 * len(pinned)
    assert {name: listed[name] for name in installed} == installed
