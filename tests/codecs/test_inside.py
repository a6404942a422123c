"""The integers inside an archive, counted from its own bytes, are those that lie beside its run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lab import archive
from lab.codecs import inside
from lab.errors import UnknownSyntax

LEDGER = Path(__file__).resolve().parents[2] / "ledgers" / "minidrive"
COUNTED = sorted(path.parent.name for path in (LEDGER / "evidence").glob("*/codes.csv"))


def payload(run: str) -> bytes:
    record = json.loads((LEDGER / "runs" / f"{run}.json").read_text(encoding="utf-8"))
    path = LEDGER / "archives" / f"{record['custody']['archive_sha256']}.zip"
    (member,) = archive.parse(path.read_bytes(), path.name)
    return member.content


@pytest.mark.parametrize("run", COUNTED)
def test_what_lies_beside_a_run_is_counted_from_its_archive(run: str, tmp_path: Path) -> None:
    written = inside.write(payload(run), tmp_path)
    kept = LEDGER / "evidence" / run
    for path in written:
        if path.suffix == ".csv":
            assert path.read_bytes() == (kept / path.name).read_bytes()
    assert {path.name for path in written} == {path.name for path in kept.glob("codes.csv")} | {
        path.name for path in kept.glob("latents.png")
    }


@pytest.mark.parametrize("run", COUNTED)
def test_every_integer_is_counted_once(run: str) -> None:
    streams, latents = inside.read(payload(run))
    with (LEDGER / "evidence" / run / "codes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, codes in streams.items():
        assert sum(int(row["count"]) for row in rows if row["stream"] == name) == codes.size
    if latents is not None:
        assert np.array_equal(np.sort(latents.reshape(-1)), np.sort(streams["latents"]))


def test_an_archive_of_coded_video_holds_no_integers_of_ours(tmp_path: Path) -> None:
    record = next(
        found
        for path in sorted((LEDGER / "runs").glob("*.json"))
        if (found := json.loads(path.read_text(encoding="utf-8")))["recipe"]["family"] == "conventional"
        and (LEDGER / "archives" / f"{found['custody']['archive_sha256']}.zip").is_file()
    )
    assert inside.write(payload(record["id"]), tmp_path / "x") == ()
    with pytest.raises(UnknownSyntax, match="magic"):
        inside.read(b"no payload")
