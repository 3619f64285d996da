"""Which encoders may be named over HTTP: those that whoever runs the service listed, and the disk is not looked at."""

from __future__ import annotations

import io

import pytest

from service.errors import InvalidInput
from service.settings import Settings
from service.usecases.archive_export import export_catalogue
from service.usecases.catalogues import check_allowed, create_catalogue

ALLOWED = ["pixel", "packaged:vit-s14"]


@pytest.fixture
def model(tmp_path):
    """A folder of the server that could be an encoder."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def made(client, encoder, name="fruit"):
    return client.post("/v1/catalogues", json={"name": name, "encoder": encoder})


@pytest.mark.parametrize("there", ["model", "model/config.json", "", "nothing"])
def test_a_path_of_the_server_is_refused_in_the_same_words_whether_it_is_there_or_not(acme, model, there):
    path = str(model.parent / there)
    answer = made(acme, path)
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidInput")
    assert answer.json()["allowed"] == ALLOWED
    told = answer.json()["detail"].partition(" is not allowed here; ")[2]
    assert told == "allowed are pixel, packaged:vit-s14 (whoever runs the server sets HOLOTYPE_ENCODERS)"
    assert acme.get("/v1/catalogues").json()["items"] == []


@pytest.mark.parametrize("encoder", ["facebook/dinov2-small", "packaged:nothing", "~", "pixel:", "pixel "])
def test_so_is_whatever_else_was_not_listed(acme, encoder):
    assert made(acme, encoder).json()["allowed"] == ALLOWED


def test_a_listed_encoder_may_be_asked_for_with_a_pooling(acme):
    assert made(acme, "packaged:vit-s14?pooling=mean").status_code == 201
    assert made(acme, "packaged:vit-s14?views=mirror", "mirrored").status_code == 201
    refused = made(acme, "packaged:vit-s14?pooling=nonsense", "other")
    assert (refused.status_code, "pooling=" in refused.json()["detail"]) == (422, True)


def test_an_encoder_listed_with_what_follows_its_name_is_that_one_only():
    allowed = ("packaged:vit-s14?pooling=layers&views=mirror", "pixel")
    for options in ("pooling=layers&views=mirror", "views=mirror&pooling=layers"):
        check_allowed(f"packaged:vit-s14?{options}", allowed)
    for options in ("", "?", "?pooling=layers", "?views=mirror", "?pooling=mean&views=mirror"):
        with pytest.raises(InvalidInput, match="is not allowed here"):
            check_allowed(f"packaged:vit-s14{options}", allowed)


def test_the_setting_lists_what_may_be_named_beside_the_default_encoder():
    assert Settings(encoder="a/b").allowed_encoders == ("a/b", "packaged:vit-s14", "pixel")
    assert Settings(encoder="pixel", encoders=" x/y, ,/srv/vit ").allowed_encoders == ("pixel", "x/y", "/srv/vit")
    assert Settings(encoder="pixel", encoders="").allowed_encoders == ("pixel",)


def test_an_archive_on_another_encoder_is_refused_and_the_command_line_is_free(api, acme, model):
    create_catalogue(api.context, "acme", "own", str(model))
    archive = b"".join(export_catalogue(api.context, "acme", "own", images=True))
    sent = {"archive": ("a.zip", io.BytesIO(archive), "application/zip")}
    answer = acme.post("/v1/catalogues:import", data={"name": "copy"}, files=sent)
    assert (answer.status_code, answer.json().get("allowed")) == (422, ALLOWED)
    assert [one["name"] for one in acme.get("/v1/catalogues").json()["items"]] == ["own"]
