"""No key and no webhook secret is in a log, a job, a problem or a trace, in whatever place it was sent.

A real `holotype serve` that tells all it can: level DEBUG, traces to a receiver.
"""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from tests.api.filled import picture
from tests.cli.test_serve import END_S, PROGRAM
from tests.processes import kill_group, start, wait_until
from tests.receiver import receiving


@pytest.fixture
def traces():
    with receiving() as found:
        yield found


@pytest.fixture
def hook():
    with receiving() as found:
        yield found


METRICS_KEY = "metrics-key-of-this-test"
SETTINGS = {
    "HOLOTYPE_ENCODER": "pixel",
    "HOLOTYPE_LOG_LEVEL": "DEBUG",
    "HOLOTYPE_LOG_FORMAT": "json",
    "HOLOTYPE_PRIVATE_WEBHOOKS": "true",
    "HOLOTYPE_METRICS_KEY": METRICS_KEY,
    "HOLOTYPE_OTEL": "true",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
}
HEADERS = ("X-API-Key", "Cookie", "X-Request-Id", "Referer", "User-Agent", "traceparent", "Idempotency-Key")


def test_no_secret_is_told_anywhere(data_dir, tmp_path, traces, hook):
    variables = SETTINGS | {"HOLOTYPE_DATA_DIR": str(data_dir), "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url}
    ready, log = tmp_path / "ready.json", tmp_path / "log"
    with ready.open("w") as out, log.open("w") as err:
        process = start([str(PROGRAM), "serve", "--port", "0", "--json"], env=variables, stdout=out, stderr=err)
    try:
        wait_until(lambda: ready.read_text().endswith("\n}\n") or process.poll() is not None, "the server is ready")
        told = json.loads(ready.read_text())
        with httpx.Client(base_url=told["url"], timeout=60) as client:
            session = Session(client, told["admin_key"])
            session.keys()
            for name in ("admin", "old", "new"):
                session.wrong_places(session.secrets[name])
            session.work(hook.url)
        process.terminate()
        process.wait(END_S)
    finally:
        kill_group(process)
    text = log.read_text()
    assert text.count("/v1/") > 100, "what was asked is in the log"
    assert traces.requests, "traces were sent"
    assert hook.requests, "the hook was called"
    seen = {"log": text, "problems and jobs": "\n".join(session.said)}
    seen["traces"] = "\n".join(one.body.decode("latin-1") for one in traces.requests)
    seen["bodies of hooks"] = "\n".join(one.body.decode("latin-1") for one in hook.requests)
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    seen |= {path.name: path.read_bytes().decode("latin-1") for path in files}
    for name, secret in session.secrets.items():
        for where, text in seen.items():
            # What signs has to be kept where the workers find it: in the database, and nowhere else.
            if not (name == "webhook secret" and where.startswith("holotype.db")):
                place = text.find(secret)
                assert place < 0, f"{name} in {where}: ...{text[max(0, place - 200) : place + 20]}"


class Session:
    """What is done with keys and secrets; `said` is whatever was answered that is no new secret."""

    def __init__(self, client: httpx.Client, admin: str) -> None:
        self.client = client
        self.secrets = {"admin": admin, "metrics key": METRICS_KEY}
        self.said: list[str] = []
        client.headers["Authorization"] = f"Bearer {admin}"

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        answer = self.client.request(method, path, **more)
        self.said.append(answer.text)
        return answer

    def keys(self) -> None:
        """One is made and rotated."""
        self.client.post("/v1/tenants", json={"name": "acme"})
        key = self.client.post("/v1/tenants/acme/keys", json={"name": "one", "scopes": ["read", "write"]}).json()
        rotated = self.client.post(f"/v1/tenants/acme/keys/{key['id']}:rotate").json()
        self.secrets |= {"old": key["key"], "new": rotated["key"]}
        self.secrets |= {f"part of {name}": self.secrets[name].rsplit("_", 1)[1] for name in ("admin", "old", "new")}

    def wrong_places(self, key: str) -> None:
        """Headers, URLs and bodies that a key does not belong into, by mistake or not."""
        wrong, basic = key[:-3] + "abc", base64.b64encode(f"user:{key}".encode()).decode()
        self.secrets[f"basic {len(self.secrets)}"] = basic
        for header in (
            f"Bearer {wrong}",
            f"Bearer  {key}",
            f"Token {key}",
            f"Basic {basic}",
            key,
            f"Bearer {key}{key}",
        ):
            self.ask("GET", "/v1/catalogues", headers={"Authorization": header})
        for name in HEADERS:
            self.ask("GET", "/v1/catalogues", headers={name: key})
            self.ask("POST", "/v1/catalogues", json={"name": "a/b"}, headers={name: key})
        asked = [f"?{name}={key}" for name in ("key", "token", "cursor")] + [f"?{key}", f"/{key}"]
        for path in (*(f"/v1/catalogues{one}" for one in asked), f"/v1/jobs/{key}", f"/v1/{key}", f"/{key}"):
            self.ask("GET", path)
            self.ask("POST", path, content=key)
        for body in ({"name": f"{key}/"}, {"name": key * 20}, {key: key}, {"name": [key]}, key, {"encoder": key}):
            self.ask("POST", "/v1/catalogues", json=body)
        self.ask("POST", "/v1/catalogues", content=f"{{{key}", headers={"Content-Type": "application/json"})
        self.ask("POST", "/v1/session", json={"key": wrong})
        self.ask("POST", "/v1/session", json={"key": key, "more": key})
        self.ask("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})

    def work(self, hook: str) -> None:
        """A job by the new key, told to a webhook; the metrics by theirs."""
        self.ask("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_KEY}"})
        self.client.headers["Authorization"] = f"Bearer {self.secrets['new']}"
        assert self.ask("POST", "/v1/catalogues", json={"name": "fruit"}).status_code == 201
        made = self.client.post("/v1/webhooks", json={"url": hook}).json()
        self.secrets["webhook secret"] = made["secret"].removeprefix("whsec_")
        self.ask("GET", "/v1/webhooks")
        self.ask("POST", f"/v1/webhooks/{made['id']}:test")
        files = [("pictures", (f"lime/{number}.png", picture("lime", number))) for number in range(3)]
        job = self.ask("POST", "/v1/catalogues/fruit/ingests", files=files).json()["id"]
        wait_until(lambda: self.ask("GET", f"/v1/jobs/{job}").json()["state"] == "done", "the job is done")
        self.ask("GET", f"/v1/jobs/{job}/items")
        told = f"/v1/webhooks/{made['id']}/deliveries"
        wait_until(lambda: "waiting" not in self.ask("GET", told).text, "all is delivered")
