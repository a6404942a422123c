"""`lab mask encode | decode`: exact class maps as bytes, and back."""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verbs."""
    verbs = terminal.group(commands, "mask", help="exact class maps of few labels as bytes, and back")
    encode = terminal.verb(
        verbs,
        "encode",
        encode_,
        help="class maps, uint8 (T, H, W) of at most 16 labels in a .npy file, as the fewest bytes",
        example="lab mask encode maps.npy maps.bin --json",
        json_output=True,
    )
    decode = terminal.verb(
        verbs,
        "decode",
        decode_,
        help="class maps of a payload as a .npy file, checked against the checksum that it carries",
        example="lab mask decode maps.bin maps.npy",
        json_output=True,
    )
    for parser in (encode, decode):
        parser.add_argument("source", type=Path, metavar="IN")
        parser.add_argument("target", type=Path, metavar="OUT")


def encode_(options: argparse.Namespace) -> None:
    """Encode a .npy file, read the payload back, and write it."""
    import numpy as np

    from lab.entropy import labelmap, mapwriter
    from lab.errors import RoundTripMismatch
    from lab.store import write_atomic

    labels = load_maps(options.source)
    started = time.perf_counter()
    with terminal.progress() as monitor:
        coded = mapwriter.encode(labels, monitor=monitor)
        encode_s = time.perf_counter() - started
        found = labelmap.read(coded.payload, most_pixels=labels.size, monitor=monitor)
    if not np.array_equal(found.labels, labels):
        raise RoundTripMismatch(str(options.source), fix="this is an error of the coder: please report it")
    write_atomic(options.target, coded.payload)
    _report(options, labels.shape, coded.method, len(coded.payload), coded.sections, encode_s)


def decode_(options: argparse.Namespace) -> None:
    """Decode a payload into a .npy file."""
    import numpy as np

    from lab.entropy import labelmap
    from lab.store import write_atomic

    payload = options.source.read_bytes()
    started = time.perf_counter()
    with terminal.progress() as monitor:
        found = labelmap.read(payload, monitor=monitor)
    decode_s = time.perf_counter() - started
    buffer = io.BytesIO()
    np.save(buffer, found.labels)
    write_atomic(options.target, buffer.getvalue())
    _report(options, found.labels.shape, found.method, len(payload), found.sections, decode_s)


def load_maps(path: Path) -> Any:
    """Class maps of a .npy file, uint8 (T, H, W).

    Raises:
        EntropyError: not such a file, another type or shape, or more labels than the coder takes.
    """
    import numpy as np

    from lab.entropy.labelmap import MOST_LABELS
    from lab.errors import EntropyError

    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise EntropyError(
            str(path), expected="a .npy file", found=str(error), fix="write it with numpy.save"
        ) from None
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.ndim != 3 or not labels.size:
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise EntropyError(
            str(path),
            expected="class maps, uint8 (T, H, W) and not empty",
            found=found,
            fix="numpy.save the labels as maps.astype(numpy.uint8), one map per entry of the first axis",
        )
    distinct = int(np.count_nonzero(np.bincount(labels.reshape(-1), minlength=256)))
    if distinct > MOST_LABELS:
        raise EntropyError(
            str(path),
            expected=f"at most {MOST_LABELS} labels",
            found=str(distinct),
            fix="these are no class maps; `lab lossless compress` takes any file",
        )
    return labels


def _report(
    options: argparse.Namespace, shape: tuple[int, ...], method: str, n_bytes: int, sections: Any, seconds: float
) -> None:
    pixels = shape[0] * shape[1] * shape[2]
    ideal_bits = sum(section.ideal_bits or 0.0 for section in sections)
    if options.json:
        summary = {
            "file": str(options.target),
            "shape": list(shape),
            "method": method,
            "bytes": n_bytes,
            "bits_per_pixel": 8 * n_bytes / pixels,
            "ideal_bits": ideal_bits,
            "seconds": round(seconds, 3),
            "sections": [
                {"name": part.name, "offset": part.offset, "n_bytes": part.n_bytes, "ideal_bits": part.ideal_bits}
                for part in sections
            ],
        }
        terminal.say(json.dumps(summary, indent=1))
        return
    rows = [
        {
            "section": part.name,
            "kind": part.kind,
            "bytes": part.n_bytes,
            "ideal bytes": round((part.ideal_bits or 0) / 8),
        }
        for part in sections
    ]
    terminal.show(rows, ["section", "kind", "bytes", "ideal bytes"], as_json=False)
    size = " x ".join(f"{side:,}" for side in shape)
    terminal.say(f"{size} labels, {n_bytes:,} bytes, {8 * n_bytes / pixels:.6f} bits per pixel, {seconds:.1f} s")
