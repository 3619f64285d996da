"""Parts of pictures, here and over HTTP: the same report."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.test_over_http import Both, both

__all__ = ["both"]


def test_boxes_and_masks_are_handed_over_alike(both: Both, tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30], pixels[:, 30:] = (200, 10, 20), (10, 20, 200)
    Image.fromarray(pixels).save(tmp_path / "both.png")
    for name, size in (("mask", (40, 60)), ("small", (4, 6))):
        mask = np.zeros(size, dtype=np.uint8)
        mask[:, 3:] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    rows = ["path,label,split,box,mask,keep_aspect,lot"]
    rows += [
        'both.png,red,support,"0,0,30,40",,,7',
        'both.png,blue,support,"30 0 30 40",,yes,',
        "both.png,all,support,,mask.png,,",
    ]
    rows += ['both.png,far,,"50,0,30,40",,,', "both.png,small,,,small.png,,", "both.png,lost,,,lost.png,,"]
    rows += ['both.png,wrong,,"1,2,3",,,']
    (tmp_path / "list.csv").write_text("\n".join(rows))
    both.each("catalogue", "create", "halves", "--encoder", "pixel")
    here, _ = both.each("ingest", "halves", tmp_path / "list.csv")
    assert (here["stored"], here["failed"], here["conflict"]) == (3, 4, 0), here
    here, _ = both.each("ingest", "halves", tmp_path / "list.csv")
    assert (here["stored"], here["duplicate"]) == (0, 3)
    both.each("catalogue", "show", "halves")
