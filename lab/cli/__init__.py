"""The front door: `lab VERB ...`. Every verb is a few lines over a library call of the same name.

Only here are the environment and the clock read. Exit status: 0 done, 1 refused or failed with one clear line
(traceback with --debug), 2 usage.

Environment: `LAB_LEDGERS` (default `ledgers` in the checkout), `LAB_CACHE` (default `.cache` in the checkout).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabError

# Verb groups in the order of `lab --help`; each module offers register(commands).
GROUPS = (
    "contract",
    "run",
    "training",
    "ledger",
    "packet",
    "comply",
    "preflight",
    "terms",
    "anatomy",
    "search",
    "negative",
    "status",
    "mask",
    "lossless",
)


def checkout() -> Path:
    """The folder that holds `ledgers` and `.cache`: the working folder, or the checkout around the package."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "ledgers").is_dir():
            return folder
    around = Path(__file__).resolve().parents[2]
    return around if (around / "ledgers").is_dir() else here


def place(options: argparse.Namespace) -> argparse.Namespace:
    """Say in the options where this process finds its checkout, ledger and cache."""
    options.root = checkout()
    named = getattr(options, "ledgers", None)
    options.ledgers = named or Path(os.environ.get("LAB_LEDGERS", options.root / "ledgers"))
    options.cache = Path(os.environ.get("LAB_CACHE", options.root / ".cache"))
    return options


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="lab",
        description="A lab notebook for task-aware video compression.",
        epilog="example: lab run conventional/quickstart --contract minidrive",
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    top.add_argument("--ledgers", type=Path, help="folder of the ledger (default: ledgers in the checkout)")
    commands = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for group in GROUPS:
        importlib.import_module(f"lab.cli.{group}").register(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    options = parser().parse_args(arguments)
    place(options)
    try:
        return int(options.call(options) or 0)
    except (LabError, ValueError, OSError) as error:
        if options.debug:
            raise
        sys.stderr.write(f"lab: {type(error).__name__}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: stopped; run the same command again to go on\n")
        return 1
