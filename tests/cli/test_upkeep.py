"""`holotype verify-store`, on a data directory from which something was taken."""

from __future__ import annotations

from service.bootstrap import VECTORS_FOLDER, open_context
from service.settings import Settings
from tests.conftest import write_pictures


def test_a_store_that_lost_its_points_is_verified_repaired_and_answers_as_before(holotype, data_dir, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=2, each=6)
    assert holotype("ingest", "birds", pictures)[0] == 0
    assert holotype("optimise", "birds", "--trials", "2")[0] == 0
    new = list(write_pictures(tmp_path / "new", classes=2, each=1, seed=9).rglob("*.jpg"))
    answered = holotype("classify", "birds", *new)
    assert holotype("verify-store") == (0, {"tenants": 1, "catalogues": 1, "examples": 12, "found": [], "left": []})

    for folder in (data_dir / VECTORS_FOLDER).iterdir():
        folder.rename(tmp_path / folder.name)
    code, told = holotype("verify-store")
    assert code == 1
    assert next((one["kind"], one["count"]) for one in told["left"]) == ("point missing", 12)
    code, told = holotype("verify-store", "--repair")
    assert (code, told["left"]) == (0, [])
    assert holotype("classify", "birds", *new) == answered


def test_what_cannot_be_mended_is_an_exit_code_of_its_own(holotype, data_dir, tmp_path):
    assert holotype("ingest", "birds", write_pictures(tmp_path / "pictures", classes=2, each=3))[0] == 0
    next((data_dir / "blobs/default/images").rglob("*/*")).unlink()
    code, told = holotype("verify-store", "--repair")
    assert (code, [one["kind"] for one in told["left"]]) == (1, ["picture missing"])


def test_it_is_done_where_the_data_are(holotype, monkeypatch):
    monkeypatch.setenv("HOLOTYPE_URL", "http://127.0.0.1:9")
    assert holotype("verify-store")[0] == 2


def test_nobody_else_may_be_at_work_on_a_data_directory(holotype, data_dir):
    with open_context(Settings(data_dir=data_dir)):
        code, told = holotype("verify-store")
    assert (code, told["error"]["type"]) == (4, "DataDirectoryInUse")
