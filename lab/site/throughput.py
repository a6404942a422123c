"""How fast post-filters train: what prose cites of `ledgers/benchmarks/train.json`, which `make bench-train` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import data

COMMAND = "make bench-train"
FILE = "benchmarks/train.json"
_WAYS = ("eager", "heap", "trainer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One architecture: pairs per second forward and backward, and ratios over plain eager within a turn, cited.

    `less_cpu` is the ratio of processor time, which hardly moves when others use the machine.
    """

    architecture: str
    hidden: int
    eager: Markup
    trainer: Markup
    heap_ratio: Markup
    ratio: Markup
    less_cpu: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The benchmark's rows, fastest trainer first, and the range of its ratios."""

    rows: tuple[Row, ...]
    least: Markup
    most: Markup
    file: str = f"/data/{FILE}"


def load(ledgers: Path) -> Throughput | None:
    """The evidence; None where the benchmark has not been run.

    Raises:
        SiteError: the file is not what the benchmark writes.
    """
    path = ledgers / FILE
    if not path.is_file():
        return None
    try:
        found = data.benchmark(path)
        kept = sorted(found["rows"], key=lambda row: -row["ways"]["trainer"]["pairs_per_s"])
        ratios = [float(row["ways"]["trainer"]["times_faster"]) for row in kept]
        if not kept or any(way not in row["ways"] for row in kept for way in _WAYS):
            raise ValueError("a row without plain eager, or no rows")
        rows = tuple(_row(row) for row in kept)
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(str(path), expected=f"what `{COMMAND}` writes", found=str(error), fix="run it again") from None
    return Throughput(rows=rows, least=_cited(f"{min(ratios):.2f}×"), most=_cited(f"{max(ratios):.2f}×"))


def _row(row: Mapping[str, Any]) -> Row:
    ways = row["ways"]
    return Row(
        architecture=str(row["architecture"]),
        hidden=int(row["hidden"]),
        eager=_cited(f"{ways['eager']['pairs_per_s']:.2f}"),
        trainer=_cited(f"{ways['trainer']['pairs_per_s']:.2f}"),
        heap_ratio=_cited(f"{ways['heap']['times_faster']:.2f}×"),
        ratio=_cited(f"{ways['trainer']['times_faster']:.2f}×"),
        less_cpu=_cited(f"{ways['trainer']['times_less_cpu']:.2f}×"),
    )


def _cited(text: str) -> Markup:
    return Markup('<a class="cite" href="/data/{}" title="benchmark of training, ledgers/{}">{}</a>').format(
        FILE, FILE, text
    )
