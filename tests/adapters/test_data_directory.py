import os
import subprocess

import pytest

from service.adapters.data_directory import LOCK_FILE, owned_directory
from service.errors import DataDirectoryInUse, InvalidInput
from tests.processes import kill_group, start_python

HOLD = """
import sys
from pathlib import Path
from service.adapters.data_directory import owned_directory
with owned_directory(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_owner(data_dir):
    """A process that owns the directory until it ends."""
    process = start_python(HOLD, str(data_dir), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "mine\n"
    yield process
    kill_group(process)
    process.stdin.close()


def test_the_folder_is_made_and_can_be_owned_again(data_dir):
    for _ in range(2):
        with owned_directory(data_dir / "deep" / "down") as folder:
            assert folder.is_dir()


def test_what_it_makes_is_its_users_own_and_what_is_there_stays_as_it_is(tmp_path):
    former = os.umask(0)
    try:
        with owned_directory(tmp_path / "deep" / "down") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
        (tmp_path / "there").mkdir(mode=0o750)
        with owned_directory(tmp_path / "there") as folder:
            assert folder.stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(former)


def test_another_process_is_refused_with_a_sentence_that_names_the_owner(data_dir, other_owner):
    with pytest.raises(DataDirectoryInUse) as caught, owned_directory(data_dir):
        pytest.fail("two owners")
    message = caught.value.message
    assert str(data_dir) in message
    assert f"process {other_owner.pid}" in message
    assert "--data-dir" in message
    assert caught.value.details["holder"]["pid"] == other_owner.pid


def test_a_killed_owner_is_no_owner(data_dir, other_owner):
    kill_group(other_owner)
    with owned_directory(data_dir):
        assert f'"pid": {os.getpid()}' in (data_dir / LOCK_FILE).read_text()


def test_the_same_process_is_refused_too(data_dir):
    with (
        owned_directory(data_dir),
        pytest.raises(DataDirectoryInUse, match="this process itself"),
        owned_directory(data_dir),
    ):
        pytest.fail("two owners")


def test_an_owner_that_did_not_say_its_name_yet(data_dir, other_owner):
    (data_dir / LOCK_FILE).write_text("")
    with pytest.raises(DataDirectoryInUse, match="in use by another process"), owned_directory(data_dir):
        pytest.fail("two owners")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"), owned_directory(tmp_path / "file" / "data"):
        pytest.fail("no folder")
