"""A catalogue on an encoder that embeds pictures and their mirror images, from end to end, on a tiny network."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.adapters import networks
from tests.cli.conftest import Holotype
from tests.conftest import PictureFolder


def test_a_picture_and_its_mirror_image_get_one_answer(
    holotype: Holotype, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    folder = networks.write_folder(tmp_path / "vit", networks.VIT)
    encoder = f"{folder}?views=mirror&pooling=layers"
    pictures = picture_folder("fruit", classes=3, each=8)
    for name, specification in (("fruit", encoder), ("plain", f"{folder}?pooling=layers")):
        assert holotype("catalogue", "create", name, "--encoder", specification)[0] == 0
        assert holotype("ingest", name, pictures)[0] == 0
    shown = holotype("catalogue", "show", "fruit")[1]
    assert shown["encoder"] == encoder

    picture = min(pictures.rglob("*.*"))
    mirror = tmp_path / "mirror.png"
    with Image.open(picture) as opened:
        ImageOps.mirror(opened.convert("RGB")).save(mirror)
    answers, plain = (holotype("classify", name, picture, mirror)[1] for name in ("fruit", "plain"))
    assert answers[0]["encoder"]["specification"] == encoder
    assert answers[0]["encoder"]["fingerprint"] != plain[0]["encoder"]["fingerprint"]
    first, second = ([(one["id"], one["similarity"]) for one in answer["neighbours"]] for answer in answers)
    assert answers[0]["label"] == answers[1]["label"]
    assert len(first) > 1
    assert [found for found, _ in first] == [found for found, _ in second]
    assert [likeness for _, likeness in first] == pytest.approx([likeness for _, likeness in second], abs=1e-3)
    alone = [answer["neighbours"][0]["similarity"] for answer in plain]
    assert abs(alone[0] - alone[1]) > 0.01, "the picture alone does not know its mirror image"

    archive = tmp_path / "fruit.zip"
    assert holotype("export", "fruit", archive)[0] == 0
    assert holotype("import", "copy", archive)[0] == 0
    copied = holotype("classify", "copy", picture)[1]
    assert copied[0]["encoder"] == answers[0]["encoder"]
