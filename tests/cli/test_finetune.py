"""`holotype finetune` on real parts: a tiny network is trained, and its copy serves as a catalogue's encoder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.adapters import networks
from tests.adapters.test_encoder_finetuning import tinted
from tests.cli.conftest import Holotype


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for code in range(4):
        place = tmp_path / "pictures" / f"tint-{code}"
        place.mkdir(parents=True)
        for number in range(20):
            Image.fromarray(tinted(code, random)).save(place / f"{number}.png")
    return tmp_path / "pictures"


def test_a_tuned_copy_of_the_encoder_serves_a_new_catalogue(
    holotype: Holotype, pictures: Path, tmp_path: Path, data_dir: Path
) -> None:
    folder = networks.write_folder(tmp_path / "vit", networks.VIT)
    assert holotype("catalogue", "create", "tints", "--encoder", folder)[0] == 0
    assert holotype("ingest", "tints", pictures)[0] == 0
    code, found = holotype(
        "finetune", "tints", "--blocks", 2, "--epochs", 12, "--batch", 16, "--learning-rate", 2e-3, "--seed", 1
    )
    assert code == 0
    made, place = found["encoder"], Path(found["folder"])
    assert place.parent == (data_dir / "encoders").resolve()
    assert made == f"finetuned:{place.name.removeprefix('finetuned-')}"
    assert (found["measured_on"], found["images"]) == ("holdout", 16)
    assert found["watched"][found["best_epoch"]] > found["watched"][0] + 0.1
    assert holotype("catalogue", "create", "tuned", "--encoder", made)[0] == 0
    assert holotype("ingest", "tuned", pictures)[0] == 0
    answers = holotype("classify", "tuned", pictures / "tint-0" / "0.png")[1]
    assert answers[0]["encoder"] == {"specification": made, "fingerprint": found["fingerprint"]}
    untuned = holotype("classify", "tints", pictures / "tint-0" / "0.png")[1]
    assert untuned[0]["encoder"]["fingerprint"] != found["fingerprint"]
    _, tints = holotype("catalogue", "show", "tints")
    assert tints["encoder"] == str(folder), "the catalogue stays on its encoder"

    backup, fresh = tmp_path / "backup.tar", tmp_path / "elsewhere"
    assert holotype("backup", backup)[0] == 0
    data_dir.rename(tmp_path / "gone")  # nothing of it may be needed
    folder.rename(tmp_path / "vit-gone")
    code, restored = holotype("restore", backup, "--data-dir", fresh)
    assert (code, restored["left"]) == (0, [])
    assert (fresh / "encoders" / place.name / "model.safetensors").is_file()
    again = holotype("classify", "tuned", pictures / "tint-0" / "0.png", "--data-dir", fresh)[1]
    assert again == answers, "to the last bit"


def test_an_encoder_without_weights_is_refused(holotype: Holotype, pictures: Path) -> None:
    assert holotype("ingest", "tints", pictures)[0] == 0
    code, value = holotype("finetune", "tints")
    assert (code, value["error"]["type"]) == (2, "InvalidInput")
    assert "'pixel' has no weights" in value["error"]["message"]
    assert holotype("finetune", "nothing")[0] == 3
