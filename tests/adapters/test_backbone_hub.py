"""A hub id through the real client, against a small HTTP server that answers as the hub does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.adapters.encoder_transformers import TransformersEncoder
from tests.adapters import networks

SHA = "0123456789abcdef0123456789abcdef01234567"
PROGRAM = """
import sys
from pathlib import Path
from service.adapters.encoders import Encoders
from service.errors import HolotypeError
try:
    encoder = Encoders(Path(sys.argv[2]), device="cpu").load(sys.argv[1])
    print(encoder.fingerprint.digest, encoder.encodes_text)
except HolotypeError as error:
    print(type(error).__name__, error.message, sep=": ")
"""


class Hub(ThreadingHTTPServer):
    """Repositories by id: name of file to bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories = {}
        self.status = None
        self.asked = []


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        path = self.path.partition("?")[0].strip("/")
        self.server.asked.append(path)
        if self.server.status:
            return self.reply(self.server.status, b"", {}, with_body)
        parts = path.removeprefix("api/models/").split("/")
        files = self.server.repositories.get("/".join(parts[:2]))
        if files is None:
            return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)
        if path.startswith("api/models/"):
            return self.reply(200, json.dumps(self.listing(parts, files)).encode(), {}, with_body)
        name = "/".join(parts[4:])
        if name not in files:
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        tag = hashlib.sha256(files[name]).hexdigest()
        return self.reply(200, files[name], {"X-Repo-Commit": SHA, "ETag": f'"{tag}"'}, with_body)

    def listing(self, parts, files):
        if "tree" in parts:
            return [{"type": "file", "path": name, "size": len(data), "oid": SHA} for name, data in files.items()]
        return {"id": "/".join(parts[:2]), "sha": SHA, "siblings": [{"rfilename": name} for name in files]}

    def reply(self, status, body, headers, with_body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub():
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def load(hub, home, specification, **environment):
    """What a process of its own says: the client reads its environment once, when it is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    mine = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, specification, home / "encoders"],
        env={**kept, **mine, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_repository_is_fetched_once_and_works_offline_after(hub, tmp_path):
    folder = networks.write_clip(tmp_path / "clip")
    unwanted = {"pytorch_model.bin": b"pickle", "evil.py": b"", "onnx/model.onnx": b"", "onnx/model.safetensors": b""}
    hub.repositories["me/clip"] = {**{each.name: each.read_bytes() for each in folder.iterdir()}, **unwanted}
    first = load(hub, tmp_path / "home", "me/clip")
    assert first.endswith(" True"), first
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= fetched
    assert not any(name in path for name in unwanted for path in hub.asked)
    hub.asked.clear()
    assert load(hub, tmp_path / "home", "me/clip", HF_HUB_OFFLINE="1") == first
    assert hub.asked == []
    # where weights come from is no part of the fingerprint
    assert first == f"{TransformersEncoder(folder, device='cpu').fingerprint.digest} True"


def test_an_unknown_repository(hub, tmp_path):
    said = load(hub, tmp_path, "me/absent")
    assert (
        said == "InvalidInput: the hub has no encoder 'me/absent': check the spelling; if it is private, set HF_TOKEN"
    )


def test_a_hub_that_cannot_be_reached(hub, tmp_path):
    said = load(hub, tmp_path, "me/clip", HF_ENDPOINT="http://127.0.0.1:9")
    assert said.startswith("Unavailable: encoder 'me/clip' cannot be fetched from the hub (")
    assert said.endswith("try again, or name a local folder or packaged:vit-s14")


def test_a_repository_without_safe_weights(hub, tmp_path):
    hub.repositories["me/old"] = {"config.json": b'{"model_type": "vit"}', "pytorch_model.bin": b"pickle"}
    said = load(hub, tmp_path, "me/old")
    assert said.startswith("InvalidInput: ")
    assert said.endswith("weights are taken in the safetensors format only")
