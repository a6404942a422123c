"""What SegNet answered on source and decode of a recorded run, kept as one picture beside its record.

The class maps of all pairs stand in one sheet, in display order, row by row. A pixel holds both classes, so that one
picture shows the source's map, the decode's map and where they disagree:

    red    20 + 40 * class on the decode
    green  220 where the two classes differ, 40 where they agree
    blue   20 + 40 * class on the source

The maps are made by the run's own packet, inflated in a clean process, and are kept only if raw frames and SegNet's
distortion of every pair are those on record. They explain a run and decide nothing: no grade reads them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab import facts, packet, replay, traces
from lab.codecs.base import silent
from lab.contract import Contract
from lab.errors import LedgerError, ReplayError
from lab.evaluator import measure
from lab.experiment import Bench
from lab.ledger import Ledger
from lab.store import write_once
from lab.video import raw as raw_frames

Monitor = Callable[[str, int, int], None]
CLASS_LIMIT = 6
AGREE, DIFFER = 40, 220


def keep(identifier: str, contract: Contract, bench: Bench, monitor: Monitor = silent) -> Path:
    """Inflate a recorded run once more and lay what SegNet answered beside it.

    Returns:
        The picture in the run's folder of evidence.

    Raises:
        ReplayError: raw frames or the distortion of a pair are not those on record; nothing is kept.
        PacketError: the ledger keeps no archive or runtime of the run.
        DuplicateRun: the run has such a picture already.
        LedgerError: its maps make a file larger than evidence may be.
    """
    ledger = Ledger(bench.ledgers)
    run = ledger.get(contract, identifier)
    where = f"run {run.id}"
    with replay.scratch() as folder:
        work = Path(folder)
        built = packet.of_run(work / "packet", run, contract, ledger)
        monitor("inflating in a clean process", 0, 1)
        inflation = replay.inflate(
            built,
            work / "replay",
            raw_bytes=contract.raw_bytes,
            hidden=bench.hidden(contract),
            time_limit_s=contract.time_limit_s,
        )
        monitor("inflating in a clean process", 1, 1)
        if inflation.raw_sha256 != run.data["custody"]["raw_sha256"]:
            raise ReplayError(where, expected="the raw frames on record", found=f"{inflation.raw_sha256[:16]}…")
        evaluator = measure.Evaluator(contract, axis=run.axis.split()[0], cache=bench.cache)
        source = evaluator.reference(monitor)
        pairs = raw_frames.read_pairs(inflation.raw, n_pairs=contract.n_pairs, size=contract.frame_size)
        decode = evaluator.answers(pairs, monitor, "networks on the decode")
    recorded = (ledger.evidence(contract.name, run.id) / "pairs.csv").read_text(encoding="utf-8").splitlines()
    found = measure.compare(source, decode).as_csv().splitlines()
    odd = [old for old, new in zip(recorded, found, strict=True) if old.split(",")[:2] != new.split(",")[:2]]
    if odd:
        raise ReplayError(
            where,
            expected=f"pair,segnet,posenet as recorded: {odd[0]}",
            found=f"another SegNet distortion in {len(odd)} pairs",
            fix="repeat it on a machine like the one that recorded the run",
        )
    data = sheet(source.classes, decode.classes)
    if len(data) > traces.LIMIT_BYTES:
        raise LedgerError(where, expected=f"at most {traces.LIMIT_BYTES:,} bytes of maps", found=f"{len(data):,}")
    path = ledger.evidence(contract.name, run.id) / facts.ANSWERS_FILE
    with ledger.locked(contract.name):
        write_once(path, data)
    return path


def sheet(source: NDArray[np.uint8], decode: NDArray[np.uint8]) -> bytes:
    """Class maps, uint8 (n_pairs, h, w) each with classes below 6, as one PNG of ceil(sqrt(n_pairs)) maps a row.

    Raises:
        ValueError: other shapes, or more classes than the picture has room for.
    """
    if source.shape != decode.shape or source.ndim != 3 or max(source.max(), decode.max()) >= CLASS_LIMIT:
        raise ValueError(f"maps of one shape with at most {CLASS_LIMIT} classes, got {source.shape}, {decode.shape}")
    count, height, width = source.shape
    columns = math.isqrt(count - 1) + 1
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width), np.uint8)
    cells[:count] = source * CLASS_LIMIT + decode
    picture = cells.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    shown = Image.fromarray(picture, mode="P")
    shown.putpalette(
        [
            level
            for first in range(CLASS_LIMIT)
            for second in range(CLASS_LIMIT)
            for level in (20 + 40 * second, AGREE if first == second else DIFFER, 20 + 40 * first)
        ]
    )
    out = io.BytesIO()
    shown.save(out, "PNG", optimize=True)
    return out.getvalue()
