"""`holotype serve` as a process: what it prints, whom it answers, how it ends."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.bootstrap import open_context
from service.settings import Settings
from tests.processes import kill_group, start

PROGRAM = Path(sys.executable).with_name("holotype")
END_S = 60


@contextmanager
def serving(data_dir, *arguments, **variables):
    """The process, and the JSON value that it prints when it is ready."""
    env = {"HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_DATA_DIR": str(data_dir), **variables}
    command = [str(PROGRAM), "serve", "--port", "0", "--json", *arguments]
    process = start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        told = ""
        while not told.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            told += line
        ready = json.loads(told)
        assert "error" not in ready, told
        yield process, ready
    finally:
        kill_group(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_shows_a_key_once_and_ends_in_order(data_dir, number):
    with serving(data_dir) as (process, ready):
        assert set(ready) == {"url", "admin_key", "device", "precision"}
        assert (ready["device"], ready["precision"]) == ("cpu", "float32")
        assert httpx.get(f"{ready['url']}/livez").json() == {"status": "alive"}
        made = httpx.post(
            f"{ready['url']}/v1/catalogues",
            json={"name": "fruit"},
            headers={"Authorization": f"Bearer {ready['admin_key']}"},
        )
        assert made.status_code == 201
        process.send_signal(number)
        out, err = process.communicate(timeout=END_S)
        assert process.returncode == 0, err
        assert out == "", "standard output holds the one value"
        assert "Traceback" not in err
    with open_context(Settings(data_dir=data_dir)) as context:
        assert [one.name for one in context.registry.catalogues("default")] == ["fruit"]
    with serving(data_dir) as (_, again):
        assert again["admin_key"] is None


def test_people_are_told_in_lines(data_dir):
    command = [str(PROGRAM), "serve", "--port", "0"]
    env = {"HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_DATA_DIR": str(data_dir), "HOLOTYPE_TENANT": "acme"}
    process = start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        where, key, how = (process.stdout.readline() for _ in range(3))
        assert where.startswith("Holotype serves at http://127.0.0.1:")
        assert "holo_" in key
        assert "on cpu in float32" in how
        process.terminate()
        process.communicate(timeout=END_S)
        assert process.returncode == 0
    finally:
        kill_group(process)


def test_a_request_in_flight_is_answered_before_the_end(data_dir):
    with serving(data_dir) as (process, ready):
        url = httpx.URL(ready["url"])
        with socket.create_connection((url.host, url.port), timeout=END_S) as raw:
            body = b'{"name": "fruit"}'
            head = f"POST /v1/catalogues HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ready['admin_key']}\r\n"
            raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            raw.sendall(body[:5])
            httpx.get(f"{ready['url']}/livez")  # by now the head of the other one has been read
            process.terminate()
            raw.sendall(body[5:])
            assert raw.recv(100).startswith(b"HTTP/1.1 201 ")
        process.communicate(timeout=END_S)
        assert process.returncode == 0


def test_a_port_in_use_is_one_sentence(data_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [PROGRAM, "serve", "--port", str(port), "--data-dir", data_dir], capture_output=True, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"holotype: port {port} of 127.0.0.1 is in use")
    assert len(ran.stderr.splitlines()) == 1


def test_a_data_directory_in_use_is_told(data_dir):
    with open_context(Settings(data_dir=data_dir)):
        ran = subprocess.run(
            [PROGRAM, "serve", "--port", "0", "--data-dir", data_dir], capture_output=True, text=True, check=False
        )
    assert ran.returncode == 4
    assert "is in use by process" in ran.stderr


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_none_is_wrong_use(data_dir, host):
    ran = subprocess.run(
        [PROGRAM, "serve", "--host", host, "--data-dir", data_dir], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert repr(host) in ran.stderr
