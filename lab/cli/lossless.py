"""`lab lossless`: any file, smaller and exact."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verbs."""
    verbs = terminal.group(commands, "lossless", help="any file, smaller and exact, with a checksum inside")
    compress = terminal.verb(
        verbs,
        "compress",
        compress_,
        help="write a file as a .tac container",
        example="lab lossless compress masks.npy -o masks.tac --profile smallest",
        json_output=True,
    )
    compress.add_argument("--profile", default="balanced", help="see `lab lossless profiles` (default: balanced)")
    decompress = terminal.verb(
        verbs,
        "decompress",
        decompress_,
        help="write the content of a .tac container, once its checksum is right",
        example="lab lossless decompress masks.tac -o masks.npy",
        json_output=True,
    )
    decompress.add_argument("--most-bytes", type=int, help="refuse larger contents (default: what the disk holds)")
    for parser in (compress, decompress):
        parser.add_argument("file", metavar="IN", type=Path)
        parser.add_argument("-o", "--out", metavar="OUT", type=Path, required=True)
        parser.add_argument("--force", action="store_true", help="replace OUT where it exists")
    terminal.verb(
        verbs,
        "profiles",
        profiles_,
        help="what each profile tries",
        example="lab lossless profiles",
        json_output=True,
    )


def compress_(options: argparse.Namespace) -> None:
    """Compress and print what became of the file."""
    from lab.entropy import lossless

    with terminal.progress() as monitor:
        outcome = lossless.compress(
            options.file, options.out, profile=options.profile, replace=options.force, monitor=monitor
        )
    _show(outcome, options.json)


def decompress_(options: argparse.Namespace) -> None:
    """Decompress and print what became of the file."""
    from lab.entropy import lossless

    with terminal.progress() as monitor:
        outcome = lossless.decompress(
            options.file, options.out, replace=options.force, most_bytes=options.most_bytes, monitor=monitor
        )
    _show(outcome, options.json)


def profiles_(options: argparse.Namespace) -> None:
    """Print the profiles, from fast to small."""
    from lab.entropy.blocks import METHODS, PROFILES

    rows = [
        {
            "profile": name,
            "tries": ", ".join(
                [
                    *(method for method, _ in profile.codecs),
                    *(["byte planes"] if profile.planes else []),
                    *(METHODS[4:] if profile.models else []),
                ]
            ),
            "speed": profile.about,
        }
        for name, profile in PROFILES.items()
    ]
    terminal.show(rows, ["profile", "tries", "speed"], as_json=options.json)


def _show(outcome: Any, as_json: bool) -> None:
    rows = [
        {"method": method, "content bytes": raw, "container bytes": coded}
        for method, (raw, coded) in outcome.by_method.items()
    ]
    if as_json:
        whole = {"n_bytes": outcome.n_bytes, "coded_bytes": outcome.coded_bytes, "sha256": outcome.sha256}
        terminal.show([whole, *rows], [], as_json=True)
        return
    terminal.show(rows, ["method", "content bytes", "container bytes"], as_json=False)
    terminal.say(f"{outcome.n_bytes:,} bytes of content in {outcome.coded_bytes:,}; sha256 {outcome.sha256}")
