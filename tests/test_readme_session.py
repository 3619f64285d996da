"""What the README tells to paste, pasted: the curl session in bash, the client's example in Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import running_server
from tests.conftest import write_pictures

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Serve it\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)[1]
PATIENCE_S = 240


def block(language: str) -> str:
    """The section's one block of the language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    return found


def run(command: list[str], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, **options)


def test_the_curl_session_works_when_it_is_pasted(tmp_path: Path) -> None:
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")
    env = {**os.environ, "HOLOTYPE_ENCODER": "pixel", "TMPDIR": str(tmp_path)}
    ran = run(["bash", "-u", "-c", block("bash")], cwd=ROOT, env=env)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert '"name":"digits"' in ran.stdout, said
    assert len(re.findall(r"^[0-9a-f-]{36} done$", ran.stdout, re.MULTILINE)) == 2, said
    assert "{'stored': 109}" in ran.stdout, said
    assert "'activated': True" in ran.stdout, said
    assert '"path":"new.png","label":' in ran.stdout, said
    assert '"code":"CatalogueNotFound"' in ran.stdout, said
    assert "the server has ended with 0" in ran.stdout, said
    assert not list(tmp_path.iterdir()), "it cleans up"


def test_the_clients_example_works(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", classes=3, each=8)
    new = next(write_pictures(tmp_path / "others", classes=1, each=1, seed=5).rglob("*.jpg"))
    shutil.copy(new, tmp_path / "new.jpg")
    with running_server(tmp_path / "data") as (url, key):
        env = {**os.environ, "HOLOTYPE_URL": url, "HOLOTYPE_KEY": key, "PYTHONPATH": str(ROOT)}
        ran = run([sys.executable, "-W", "error", "-c", block("python")], cwd=tmp_path, env=env)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert "is empty" in lines[0]
    assert any(re.fullmatch(r"\w+ 24 of 24", line) for line in lines), ran.stdout
    assert lines[-2].startswith("class-00 ")
    assert lines[-1] == "24 examples"
