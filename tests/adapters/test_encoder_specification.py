import pytest

from service.adapters.encoder_specification import POOLINGS, Specification, options_of, parse_specification
from service.errors import InvalidInput


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "owner" / "net").mkdir(parents=True)
    (tmp_path / "owner" / "net" / "config.json").write_text("{}")
    (tmp_path / "owner" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pixel", Specification("pixel", "pixel")),
        ("packaged:vit-s14", Specification("packaged", "vit-s14")),
        ("packaged:vit-s14?pooling=mean", Specification("packaged", "vit-s14", "mean")),
        ("facebook/dinov2-small", Specification("hub", "facebook/dinov2-small")),
        ("facebook/dinov2-small?pooling=class_token", Specification("hub", "facebook/dinov2-small", "class_token")),
        ("owner/net", Specification("folder", "owner/net")),  # a folder goes before a hub id
        ("./owner/net?pooling=clip_projection", Specification("folder", "owner/net", "clip_projection")),
        ("packaged:vit-s14?views=mirror", Specification("packaged", "vit-s14", None, "mirror")),
        ("packaged:vit-s14?pooling=layers&views=mirror", Specification("packaged", "vit-s14", "layers", "mirror")),
        ("a/b?views=mirror&pooling=mean", Specification("hub", "a/b", "mean", "mirror")),
        ("owner/net?views=mirror", Specification("folder", "owner/net", None, "mirror")),
        (
            "finetuned:0123456789abcdef?pooling=layers&views=mirror",
            Specification("finetuned", "0123456789abcdef", "layers", "mirror"),
        ),
    ],
)
def test_what_specifications_say(folder, text, expected):
    assert parse_specification(text) == expected


def test_home_is_expanded(folder):
    assert parse_specification("~/owner/net") == Specification("folder", str(folder / "owner" / "net"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no encoder"),
        ("clip", "names no encoder"),
        ("a/b/c", "names no encoder"),
        ("a b/c", "names no encoder"),
        ("absent/..", "names no encoder"),
        ("https://hub/owner/name", "names no encoder"),
        ("Pixel", "names no encoder"),
        ("packaged:", "packaged are: packaged:vit-s14"),
        ("packaged:vit-b16", "packaged are: packaged:vit-s14"),
        ("./absent", "no encoder folder './absent'"),
        ("/absent", "no encoder folder '/absent'"),
        ("owner/empty", "has no config.json"),
        ("pixel?pooling=mean", "one pooling and one view only; leave '?pooling=mean' out"),
        ("pixel?views=mirror", "one pooling and one view only; leave '?views=mirror' out"),
        (
            "a/b?pooling=max",
            "only pooling=class_token|layers|mean|clip_projection may follow, and views=mirror, each",
        ),
        ("a/b?pooling=max", "found 'pooling=max'"),
        ("a/b?", "found ''"),
        ("a/b?views=", "found 'views='"),
        ("a/b?views=flip", "may follow"),
        ("a/b?mirror", "may follow"),
        ("a/b?views=mirror&views=mirror", "may follow"),
        ("a/b?views=mirror&pooling=max", "may follow"),
        ("a/b?pooling=mean&views=mirror&revision=main", "may follow"),
        ("a/b?pooling=mean&views=mirror&pooling=mean", "may follow"),
        ("a/b?pooling=mean&pooling=mean", "may follow"),
        ("a/b?revision=main", "may follow"),
    ],
)
def test_what_names_no_encoder(folder, text, reason):
    with pytest.raises(InvalidInput) as caught:
        parse_specification(text)
    assert reason in caught.value.message


def test_the_poolings_are_those_of_the_fingerprint():
    assert POOLINGS == ("class_token", "layers", "mean", "clip_projection")


@pytest.mark.parametrize("options", ["", "?pooling=layers", "?views=mirror", "?views=mirror&pooling=mean"])
def test_the_end_of_a_specification_goes_with_another_name(options):
    assert options_of(f"facebook/dinov2-small{options}") == options
