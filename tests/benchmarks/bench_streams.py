"""Poses, weights, latents and selectors beside their entropy bounds and the published figures: `make bench-streams`.

    python tests/benchmarks/bench_streams.py [--shared DIR] [--json FILE]

Every row is encoded and decoded again, and compared. Weights and latents are those of the public archive of PR 104.
Poses are the drawn series of `tests/entropy/material.py` (its docstring says how it was fitted to published figures)
and what the embedded contract's PoseNet answers on its clip, in half precision (dimension 0) and on int8 grids.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))

from material import poses

from lab import contract
from lab.codecs.implicit import published
from lab.entropy import posestream, sideinfo, weightstate
from lab.entropy.bounds import Account, corrected_bits, order0_bits

ROOT = Path(__file__).resolve().parents[2]


def pose_rows() -> Iterator[tuple[str, Account, float | None, str]]:
    """The drawn series and the embedded clip's."""
    from lab.evaluator.measure import Evaluator

    def quiet(stage: str, done: int, total: int) -> None:
        return None

    minidrive = Evaluator(contract.load("minidrive"), axis="cpu", cache=ROOT / ".cache").reference(quiet).pose[:, :6]
    for name, series in (("poses, drawn, 600 pairs", poses()), ("poses, minidrive, 150 pairs", minidrive)):
        kept = posestream.quantise(series)
        coded = posestream.encode(kept)
        assert np.array_equal(posestream.decode(coded.payload).codes, kept.codes)
        corrected = sum(
            min(corrected_bits(column), corrected_bits(np.diff(column, prepend=column[0]))) for column in kept.codes.T
        )
        differences = sum(order0_bits(column) for column in np.diff(kept.codes, axis=0, prepend=kept.codes[:1]).T)
        note = f"order-0 entropy of all first differences {differences / 8:,.1f}"
        yield name, coded.account, corrected / 8, f"{note}; {len(coded.payload) / len(series):.2f} bytes per pair"


def archive_rows(shared: Path) -> Iterator[tuple[str, Account, float | None, str]]:
    """Decoder and latents of the public archive."""
    with zipfile.ZipFile(shared / "archives" / "pr104_qhnerv_ft_best.zip") as archive:
        found = published.parse(archive.read(archive.namelist()[0]))
    sizes = {section.name: section.n_bytes for section in found.sections}
    coded = weightstate.encode(found.codes, found.scales)
    codes, steps = weightstate.decode(coded.payload)
    assert steps == found.scales and all(np.array_equal(codes[name], found.codes[name]) for name in found.codes)
    yield "weights, PR 104", coded.account, None, f"published {sizes['decoder']:,} bytes (brotli)"
    latents = sideinfo.encode_latents(found.latents.T)
    assert np.array_equal(sideinfo.decode_latents(latents.payload, signed=False), found.latents.T)
    yield "latents, PR 104", latents.account, None, f"published {sizes['latents']:,} bytes (brotli)"


def selector_row() -> tuple[str, Account, float | None, str]:
    """Drawn selectors of three bits."""
    shares = [0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01]
    symbols = np.random.default_rng(1).choice(8, 600, p=shares)
    coded = sideinfo.encode_selectors(symbols, 3)
    assert np.array_equal(sideinfo.decode_selectors(coded.payload, 3)[:, 0], symbols)
    return "selectors, drawn, 600 x 3 bits", coded.account, None, "225 bytes as plain bits"


def main() -> None:
    """Print the table; write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [*pose_rows(), selector_row()]
    if (options.shared / "archives").is_dir():
        rows += archive_rows(options.shared)
    out: list[dict[str, Any]] = []
    for name, account, corrected, note in rows:
        print(f"{name:<32} {account}" + (f"; corrected {corrected:,.1f}" if corrected else "") + f"; {note}")
        out.append(
            {
                "stream": name,
                "bytes": account.n_bytes,
                "ideal_bytes": account.ideal_bits / 8,
                "bound_bytes": account.bound_bits / 8,
                "bound": account.bound,
                "corrected_bound_bytes": corrected,
                "note": note,
            }
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
