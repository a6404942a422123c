"""Evidence that explains a payload: its class maps, what they are drawn as, and its poses.

class-maps.png    48 maps evenly spaced over the clip, in the palette of the classes
triptych.png      three pairs: the source's last frame, its decoded class map, the inflated last frame
poses.csv         what conditions every pair's first frame, as it is decoded
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lab.codecs.pixels import rounded
from lab.codecs.semantic import decode
from lab.codecs.semantic.content import Content

# Road, lane line, undrivable, movable, own car; classes beyond take the last colour.
PALETTE = ((96, 96, 104), (240, 196, 48), (108, 160, 200), (208, 64, 56), (120, 84, 150), (240, 240, 240))
_COLUMNS, _ROWS, _SHRINK, _GAP = 8, 6, 4, 2


def write(content: Content, source: torch.Tensor, folder: Path) -> None:
    """Write the pictures and the table of a content.

    Args:
        source: uint8 (n_pairs, 2, 3, h, w), the source on the grid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    coloured = _coloured(content.maps.labels)
    count = content.n_pairs
    chosen = np.unique(np.linspace(0, count - 1, _COLUMNS * _ROWS).round().astype(int))
    Image.fromarray(_sheet(coloured[chosen, ::_SHRINK, ::_SHRINK])).save(folder / "class-maps.png", optimize=True)
    shown = np.unique(np.array([count // 6, count // 2, count * 5 // 6]))
    drawn = torch.cat([rounded(frames)[:, 1] for frames in decode.rendered(content, shown)]).movedim(1, -1).numpy()
    original = source[torch.from_numpy(shown), 1].movedim(1, -1).numpy()
    rows = [np.concatenate(three, axis=1) for three in zip(original, coloured[shown], drawn, strict=True)]
    Image.fromarray(np.concatenate(rows)).save(folder / "triptych.png", optimize=True)
    head = "pair," + ",".join(f"dimension_{number}" for number in range(content.poses.shape[1]))
    lines = [f"{pair}," + ",".join(f"{value:.6g}" for value in row) for pair, row in enumerate(content.conditions())]
    (folder / "poses.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def _coloured(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class maps as pictures, uint8 (n, h, w, 3)."""
    table = np.array(PALETTE, np.uint8)
    out: NDArray[np.uint8] = table[np.minimum(labels, len(PALETTE) - 1)]
    return out


def _sheet(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Thumbnails (n, h, w, 3) in rows of eight on white."""
    count, height, width, _ = small.shape
    rows = -(-count // _COLUMNS)
    sheet = np.full((rows * (height + _GAP) - _GAP, _COLUMNS * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(small):
        top, left = number // _COLUMNS * (height + _GAP), number % _COLUMNS * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet
