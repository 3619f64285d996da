"""docker-compose.yml, .env.example and the Dockerfile against the settings that they set."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.ports import QUEUES
from service.settings import Settings, check_settings

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("holotype")}
SERVERS = {name: one for name, one in SERVICES.items() if name not in OURS}
KNOWN = {f"HOLOTYPE_{name.upper()}" for name in Settings.model_fields}
TEXTS = {
    name: (ROOT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", ".env.example", "Dockerfile")
}


def filled(environment: dict[str, str]) -> dict[str, str]:
    """The variables with "secret" in the place of what .env must give, and the defaults of what it may give."""
    required = re.compile(r"\$\{\w+:\?[^}]*\}")
    optional = re.compile(r"\$\{\w+:-([^}]*)\}")
    return {name: optional.sub(r"\1", required.sub("secret", str(value))) for name, value in environment.items()}


def test_there_is_a_worker_for_every_queue_and_no_other() -> None:
    commands = {name: one["command"] for name, one in OURS.items() if name not in {"api", "cli"}}
    assert {command[-1] for command in commands.values()} == {*QUEUES.values()}
    assert all(command[:2] == ["worker", "--queue"] for command in commands.values())


@pytest.mark.parametrize("text", sorted(TEXTS))
def test_every_variable_is_a_setting(text: str) -> None:
    assert set(re.findall(r"HOLOTYPE_[A-Z_]+", TEXTS[text])) <= KNOWN


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_environment_makes_distributed_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in filled(OURS[name]["environment"]).items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.distributed
    check_settings(settings)
    assert settings.qdrant_api_key is not None


@pytest.mark.parametrize("name", sorted(OURS))
def test_hosts_are_services(name: str) -> None:
    environment = filled(OURS[name]["environment"])
    hosts = {
        re.search(r"(?:@|//)([a-z]+):\d+", value)[1] for value in environment.values() if re.search(r":\d+", value)
    }  # type: ignore[index]
    assert hosts == {*SERVERS}
    assert {*OURS[name]["depends_on"]} == {*SERVERS}
    assert all(one == {"condition": "service_healthy"} for one in OURS[name]["depends_on"].values())


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_servers_are_pinned_healthy_bounded_and_not_published(name: str) -> None:
    service = SERVERS[name]
    assert re.fullmatch(r"[a-z]+(/[a-z]+)?:v?\d+\.\d+(\.\d+)?(-alpine)?", service["image"])
    assert service["healthcheck"]["test"]
    assert "ports" not in service
    assert service["volumes"]
    assert service["mem_limit"]
    assert service["cpus"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_are_bounded(name: str) -> None:
    service = OURS[name]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["cap_drop"] == ["ALL"]
    assert ("restart" in service) == (name != "cli")
    mounts = {volume.split(":")[1] for volume in service["volumes"]}
    assert {"/blobs", "/data"} <= mounts


def test_volumes_are_declared() -> None:
    used = {
        volume.split(":")[0]
        for one in SERVICES.values()
        for volume in one.get("volumes", [])
        if re.match(r"[a-z]", volume)
    }
    assert used == {*COMPOSE["volumes"]}


def test_the_api_is_published_alone_and_looked_after() -> None:
    api = OURS["api"]
    port = str(Settings.model_fields["port"].default)
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["api"]
    assert api["ports"] == [f"${{API_ADDRESS:-127.0.0.1:{port}}}:{port}"]
    assert api["command"] == ["serve", "--host", "0.0.0.0", "--port", port]
    assert f"http://127.0.0.1:{port}/readyz" in api["healthcheck"]["test"][-1]
    assert re.search(rf"^EXPOSE {port}$", TEXTS["Dockerfile"], re.MULTILINE)
    assert api["mem_limit"]
    assert api["cpus"]
    compile(api["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_every_variable_that_compose_reads_is_in_the_example() -> None:
    read = set(re.findall(r"\$\{([A-Z_]+)", TEXTS["docker-compose.yml"]))
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", TEXTS[".env.example"], re.MULTILINE))
    assert read == named


def test_no_password_has_a_default() -> None:
    secrets = set(re.findall(r"\$\{(\w*(?:PASSWORD|KEY)\w*)", TEXTS["docker-compose.yml"]))
    assert secrets
    for secret in secrets:
        assert set(re.findall(rf"\$\{{{secret}([^}}]*)\}}", TEXTS["docker-compose.yml"])) == {":?set it in .env"}
        assert re.search(rf"^{secret}=$", TEXTS[".env.example"], re.MULTILINE)


def test_the_server_is_of_the_clients_version() -> None:
    """A Qdrant client works with servers of its own minor version and the two next to it."""
    pinned = re.search(
        r"^qdrant-client==(\d+\.\d+)\.", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert pinned
    assert SERVERS["qdrant"]["image"].startswith(f"qdrant/qdrant:v{pinned[1]}.")


def test_the_image_runs_as_somebody_and_says_how_it_is() -> None:
    dockerfile = TEXTS["Dockerfile"]
    assert re.search(r"^USER holotype$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored, f"{name} does not reach the build"


def test_the_readme_tells_how() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docker compose up" in readme
    assert "docker compose run --rm cli" in readme
    assert ".env.example" in readme
