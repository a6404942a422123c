"""The *Growth* page: how a build of this site grows with its ledger, and how fast it is beside Pelican and MkDocs.

Everything comes from `ledgers/benchmarks/site.json`, which `make bench-site` writes. A size that was not measured is
left out, and so is the whole page where none was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, data, svg
from lab.site import format as show
from lab.site.charts import Cell, Chart, Figure, Line, Mark

COMMAND = "make bench-site"
FILE = "benchmarks/site.json"
OURS = "lab"
NAMES = {OURS: "this lab", "pelican": "Pelican", "mkdocs": "MkDocs"}
SIGNATURE = Markup(' <span class="signature">measured by {}; no run of the ledger</span>').format(COMMAND)
_TIMES = (
    ("seconds", "from nothing, wall", "tone-a", "promoted"),
    ("core_s", "from nothing, processor", "tone-b", "open"),
    ("again_seconds", "again with one record more, wall", "tone-c", "rejected"),
    ("stay_seconds", "the same in a builder that stays, wall", "tone-d", "promoted"),
)
_BYTES = (
    ("peak_bytes", "peak memory of all processes", "tone-a", "promoted"),
    ("bytes", "size of the site", "tone-b", "open"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The three builders on one ledger, fastest first; `finding` says who wins and by how much.

    A row is (builder, pages, wall seconds, processor seconds, pages per second); of one that was not timed, the reason
    stands in the place of all four.
    """

    runs: int
    rows: tuple[tuple[str, str, str, str, str], ...]
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One target: what was asked, what was found, and whether that is enough."""

    name: str
    asked: str
    found: str
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the page shows. `sizes` are the rows of its table, small ledgers first; `sorting` is of the ledger page."""

    beside: tuple[Beside, ...]
    bars: tuple[Bar, ...]
    figures: tuple[Figure, ...]
    sizes: tuple[Mapping[str, Any], ...]
    refused: tuple[tuple[int, str], ...]
    sorting: Mapping[str, Any] | None
    machine: str
    versions: str
    file: str = f"/data/{FILE}"


def load(ledgers: Path) -> Growth | None:
    """The evidence; None where nothing of it was measured.

    Raises:
        SiteError: the file is not what the benchmark writes.
    """
    path = ledgers / FILE
    if not path.is_file():
        return None
    try:
        told = data.benchmark(path)
        measured = sorted((row for row in told["growth"] if "refused" not in row), key=lambda row: int(row["runs"]))
        for row in measured:
            if any(not 0 < float(row[key]) < math.inf for key in ("runs", *(name for name, *_ in (*_TIMES, *_BYTES)))):
                raise ValueError(f"a size that is not positive, among those of {row['runs']} runs")
        by_size = groupby(sorted(told["rows"], key=lambda row: int(row["runs"])), lambda row: int(row["runs"]))
        beside = tuple(_beside(size, list(rows)) for size, rows in by_size)
        if not measured and not beside:
            return None
        return Growth(
            beside=beside,
            bars=tuple(_bar(str(name), row) for name, row in told["bars"].items()),
            figures=(_figure("time", _TIMES, measured), _figure("memory", _BYTES, measured)) if measured else (),
            sizes=tuple(measured),
            refused=tuple((int(row["runs"]), str(row["refused"])) for row in told["growth"] if "refused" in row),
            sorting=told.get("sorting"),
            machine=f"{int(told['machine']['cores'])} cores, {told['machine']['processor']}",
            versions=", ".join(f"{name} {value}" for name, value in sorted(told["versions"].items())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise SiteError(FILE, expected=f"what `{COMMAND}` writes", found=str(error)[:200], fix="run it again") from None


def _beside(runs: int, rows: Sequence[Mapping[str, Any]]) -> Beside:
    timed = sorted((row for row in rows if "stopped" not in row), key=lambda row: -float(row["pages_per_s"]))
    lines = [
        (
            NAMES[row["builder"]],
            show.byte_count(row["pages"]),
            show.seconds(row["seconds"]),
            show.seconds(row["core_s"]),
            f"{row['pages_per_s']:,.0f}",
        )
        for row in timed
    ]
    lines += [(NAMES[row["builder"]], str(row["stopped"]), "", "", "") for row in rows if "stopped" in row]
    return Beside(runs=runs, rows=tuple(lines), finding=_verdict(runs, timed))


def _verdict(runs: int, timed: Sequence[Mapping[str, Any]]) -> str:
    """Who wins, in words."""
    mine = next((row for row in timed if row["builder"] == OURS), None)
    theirs = next((row for row in timed if row["builder"] != OURS), None)
    if mine is None or theirs is None:
        return f"{runs:,} runs: no other builder was timed beside this lab."
    other = NAMES[theirs["builder"]]
    ratio = mine["pages_per_s"] / theirs["pages_per_s"]
    by_core = mine["pages_per_core_s"] / theirs["pages_per_core_s"]
    said = f"{runs:,} runs: {mine['pages_per_s']:,.0f} pages per second against {theirs['pages_per_s']:,.0f} of {other}"
    said += f", the faster of the two others: {ratio:.2f} times as many"
    said += " (this lab loses)" if ratio < 1 else ""
    return f"{said}, and {by_core:.2f} times as many per second of processor time."


def _bar(name: str, row: Mapping[str, Any]) -> Bar:
    asked, found = (show.byte_count(row[key]) if row[key] >= 1_000 else f"{row[key]:g}" for key in ("bar", "found"))
    return Bar(name=name, asked=asked, found=found, reached=bool(row["reached"]))


def _figure(kind: str, series: Sequence[tuple[str, str, str, str]], rows: Sequence[Mapping[str, Any]]) -> Figure:
    timed = kind == "time"
    value: Callable[[float], str] = show.seconds if timed else show.size
    scale = 1.0 if timed else 1e-6
    every = [scale * float(row[key]) for row in rows for key, *_ in series]
    what = "time" if timed else "memory and size"
    chart = Chart(
        key=f"growth-{kind}",
        title=f"{what.capitalize()} of a build of this site against the runs of its ledger",
        x=svg.padded([float(row["runs"]) for row in rows], "runs in the ledger (log scale)", log=True),
        y=svg.padded(every, "seconds (log scale)" if timed else "megabytes (log scale)", log=True),
        lines=tuple(
            Line(points=tuple((float(row["runs"]), scale * float(row[key])) for row in rows), kind=tone)
            for key, _, tone, _ in series
        ),
        marks=tuple(
            Mark(
                x=float(row["runs"]),
                y=scale * float(row[key]),
                kind=mark,
                tip=f"{row['runs']:,} runs, {words}: {value(row[key])}",
            )
            for key, words, _, mark in series
            for row in rows
        ),
    )
    return Figure(
        key=chart.key,
        title="Time of a build" if timed else "Memory and size",
        finding=Markup("{} ").format(_time_words(rows) if timed else _memory_words(rows)) + SIGNATURE,
        drawings=(charts.both(chart),),
        columns=("runs", *(words for _, words, _, _ in series)),
        rows=tuple(
            (
                Cell(text=show.byte_count(row["runs"]), sort=float(row["runs"])),
                *(Cell(text=value(row[key]), sort=float(row[key])) for key, *_ in series),
            )
            for row in rows
        ),
        legend=tuple((tone, words) for _, words, tone, _ in series),
    )


def _time_words(rows: Sequence[Mapping[str, Any]]) -> str:
    first, last = rows[0], rows[-1]
    if first is last:
        return f"{first['runs']:,} runs are built in {show.seconds(first['seconds'])}; one size gives no growth."
    said = (
        f"From {first['runs']:,} to {last['runs']:,} runs, {last['runs'] / first['runs']:.0f} times as many, a build "
        f"from nothing goes from {show.seconds(first['seconds'])} to {show.seconds(last['seconds'])}, "
        f"{last['seconds'] / first['seconds']:.1f} times as long"
    )
    before = rows[-2]
    slope = math.log(last["core_s"] / before["core_s"]) / math.log(last["runs"] / before["runs"])
    said += f"; over the last step its processor time grows as the number of runs to the power {slope:.2f}. "
    stays = f"{show.percent(last['stay_seconds'] / last['seconds'], 1)} of that, {show.seconds(last['stay_seconds'])}"
    said += f"With one record more, a builder that stays has the longest ledger again in {stays}"
    return f"{said}, and {last['stay_changed']:,} of {last['files']:,} files change."


def _memory_words(rows: Sequence[Mapping[str, Any]]) -> str:
    last = rows[-1]
    said = (
        f"{last['runs']:,} runs take {show.size(last['peak_bytes'])} of memory at the peak, all processes together, "
        f"and become {last['files']:,} files of {show.size(last['bytes'])}."
    )
    pageless = int(last.get("pageless", 0))
    return said + (f" {pageless:,} of them have no page of their own: a host takes no more files." if pageless else "")
