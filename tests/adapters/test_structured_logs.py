"""Lines of the log: with ids, in both forms, without credentials."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from service.adapters.encoders import Encoders
from service.adapters.logged_encoders import LoggedEncoders
from service.adapters.structured_logs import ALWAYS_TOLD, QUIET, start_logging
from service.usecases.log_context import NOTE, current_ids, log_ids
from service.usecases.masking import masked

CREDENTIAL = "holo_0123456789abcdef_" + "a1" * 32


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in (*ALWAYS_TOLD, *QUIET):
        logging.getLogger(name).setLevel(logging.NOTSET)


def fail(why: str) -> None:
    raise ValueError(why)


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text_is_as_it_was_without_ids(capsys):
    start_logging("WARNING")
    logging.getLogger("some.library").warning("%d of %d", 1, 2)
    logging.getLogger("some.library").info("not told")
    assert lines(capsys) == ["WARNING: 1 of 2"]


def test_debug_names_the_logger_and_tells_tracebacks(capsys):
    start_logging("DEBUG")
    try:
        fail("here")
    except ValueError:
        logging.getLogger("some.library").exception("failed")
    first, *rest = lines(capsys)
    assert first == "ERROR some.library: failed"
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: here"


def test_ids_are_told_with_every_line(capsys):
    start_logging("WARNING")
    state = {"request_id": "r1", "other": "x"}
    with log_ids(state):
        state["tenant"] = "acme"
        with log_ids({"job": 7}):
            logging.getLogger("x").warning("inside")
        logging.getLogger("x").warning("outside")
    logging.getLogger("x").warning("after")
    assert lines(capsys) == [
        "WARNING: inside (request_id=r1 tenant=acme job=7)",
        "WARNING: outside (request_id=r1 tenant=acme)",
        "WARNING: after",
    ]
    assert current_ids() == {}


def test_json_is_an_object_a_line(capsys):
    start_logging("INFO", "json")
    with log_ids({"request_id": "r1", "job": "j1"}):
        logging.getLogger("holotype.access").info("GET %s", "/x", extra={"told": {"status": 200, "route": "/x"}})
        try:
            fail("two\nlines")
        except ValueError:
            logging.getLogger("y").exception("failed")
    first, second = (json.loads(line) for line in lines(capsys))
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "GET /x", "level": "info", "logger": "holotype.access", "status": 200, "route": "/x",
        "request_id": "r1", "job": "j1",
    }  # fmt: skip
    assert "ValueError: two\nlines" in second["exception"]
    assert (second["level"], second["job"]) == ("error", "j1")


def test_a_note_is_its_text_alone_unless_all_is_to_be_known(capsys):
    for level, form in (("WARNING", "text"), ("DEBUG", "text"), ("WARNING", "json")):
        start_logging(level, form)
        with log_ids({"tenant": "acme"}):
            logging.getLogger("x").warning("fetching %s", "weights", extra=NOTE)
    plain, named, as_json = lines(capsys)
    assert (plain, named) == ("fetching weights", "WARNING x: fetching weights (tenant=acme)")
    assert (json.loads(as_json)["event"], json.loads(as_json)["tenant"]) == ("fetching weights", "acme")


def test_which_device_an_encoder_got_is_noted_once_and_why_at_level_info(capsys, tmp_path):
    for level in ("WARNING", "INFO", "ERROR"):
        start_logging(level)
        encoders = LoggedEncoders(Encoders(tmp_path, device="cpu"))
        assert encoders.load("pixel") is encoders.load("pixel")
    digest = encoders.load("pixel").fingerprint.digest
    note = "encoder pixel on cpu, float32"
    assert lines(capsys) == [note, note, f"INFO: encoder pixel: fingerprint {digest}"]


def test_requests_and_encoders_are_told_at_the_default_level(capsys):
    start_logging("WARNING")
    logging.getLogger("holotype.access").info("GET /x")
    start_logging("ERROR")
    logging.getLogger("holotype.access").info("GET /y")
    assert lines(capsys) == ["INFO: GET /x"]


def test_the_urls_that_a_library_tells_are_for_debugging_alone(capsys):
    for level in ("INFO", "DEBUG"):
        start_logging(level)
        logging.getLogger("httpx").info("POST https://hooks.example/?token=%s", level)
    assert lines(capsys) == ["INFO httpx: POST https://hooks.example/?token=DEBUG"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_credential_is_written_wherever_it_comes_from(capsys, form):
    start_logging("DEBUG", form)
    secrets = [
        CREDENTIAL,
        "whsec_" + "Zm9v" * 8,
        "Bearer sesame-open-sesame",
        "postgresql://holotype:hunter22@db/holotype",
        "redis://:hunter22@valkey:6379/0",
    ]
    for secret in secrets:
        logging.getLogger("x").warning("said %s here", secret)
        try:
            fail(secret)
        except ValueError:
            logging.getLogger("x").exception("failed")
    told = capsys.readouterr().err
    for secret in ("a1" * 32, "Zm9v" * 8, "sesame-open-sesame", "hunter22"):
        assert secret not in told
    assert "holo_0123456789abcdef_***" in told
    assert "postgresql://holotype:***@db/holotype" in told


def test_what_is_no_credential_stays():
    for line in ("GET /v1/catalogues/{catalogue} 200", "http://127.0.0.1:8000/v1 10:30:11", "a@b.c holo_x"):
        assert masked(line) == line
