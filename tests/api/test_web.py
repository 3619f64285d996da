"""The page's files: served whole, kept by browsers, and nothing else of the disk."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import service

WEB = Path(service.__file__).parent / "web"
SCRIPTS = sorted(WEB.rglob("*.js"))


def test_the_page_is_html_that_anybody_may_read(api):
    answer = api.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.text == (WEB / "index.html").read_text(encoding="utf-8")


def test_every_file_of_the_page_is_served_as_what_it_is(api):
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    paths = [path for path in sorted(WEB.rglob("*")) if path.suffix in types]
    assert len(paths) > 20
    for path in paths:
        answer = api.client.get(f"/web/{path.relative_to(WEB).as_posix()}")
        assert (answer.status_code, answer.content) == (200, path.read_bytes()), path
        assert answer.headers["content-type"] == types[path.suffix]


def test_a_browser_that_has_a_file_is_not_sent_it_again(api):
    first = api.client.get("/web/app/main.js")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = api.client.get("/web/app/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert api.client.get("/web/app/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_answers_without_a_body(api):
    answer = api.client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_what_is_no_file_of_the_page_is_a_problem(api):
    escapes = ["../settings.py", "%2e%2e/settings.py", "..%2f..%2fREADME.md", "/etc/passwd", "app/../../settings.py"]
    for path in ["nothing.js", "app", "app/", *escapes]:
        answer = api.client.get(f"/web/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_names_no_other_host_and_holds_nothing_inline():
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", page)
    for path in (one for one in WEB.rglob("*") if one.suffix in {".js", ".css", ".html"}):
        named = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text(encoding="utf-8"))
        assert set(named) <= {"http://www.w3.org"}, path


def test_no_script_writes_markup_or_runs_text():
    writes = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|alert\(")
    found = [path.name for path in SCRIPTS if writes.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_files_of_the_page_stay_small():
    long = {
        path.name: lines
        for path in WEB.rglob("*")
        if path.is_file() and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: Chromium reads the scripts anyway")
def test_every_script_can_be_read():
    told = [subprocess.run(["node", "--check", path], capture_output=True, text=True) for path in SCRIPTS]
    assert [one.stderr for one in told if one.returncode] == []
