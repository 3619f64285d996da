"""Exit codes and sentences."""

import json

import pytest

from service import errors
from service.cli.failures import Interrupted, exit_code, tell
from service.cli.output import Output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("no"), 2),
        (errors.ImageRejected("no"), 2),
        (errors.ManifestError("no"), 2),
        (errors.AlreadyExists("no"), 2),
        (errors.CatalogueNotFound("no"), 3),
        (errors.SelectionNotFound("no"), 3),
        (errors.ExampleNotFound("no"), 3),
        (errors.DataDirectoryInUse("no"), 4),
        (errors.LeaseHeld("no"), 4),
        (errors.JobFailed("no"), 1),
        (errors.NothingToServe("no"), 1),
        (errors.EncoderMismatch("no"), 1),
        (errors.PublishIncomplete("no"), 1),
        (errors.Unavailable("no"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: errors.HolotypeError, code: int) -> None:
    assert exit_code(error) == code


def test_an_unexpected_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(RuntimeError("a wire is loose"), Output(as_json=False)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "RuntimeError: a wire is loose" in told.err
    assert "HOLOTYPE_LOG_LEVEL=DEBUG" in told.err


def test_an_unexpected_error_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(KeyError("x"), Output(as_json=True)) == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "KeyError"


def test_an_interruption_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(Interrupted(), Output(as_json=False)) == 130
    assert "the job goes on at the next start" in capsys.readouterr().err
