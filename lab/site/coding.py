"""The *Entropy* page: one class-map tensor through every coder, and what the bits of ours are spent on.

Everything comes from `ledgers/benchmarks/entropy.json`, which `make bench-entropy` writes; prose cites the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, data, svg
from lab.site import format as show
from lab.site.charts import Cell, Chart, Figure, Line, Mark
from lab.site.cite import NoRunYet

COMMAND = "make bench-entropy"
FILE = "benchmarks/entropy.json"
KINDS = {"ours": "promoted", "published": "open", "general": "rejected", "pictures": "rejected", "video": "rejected"}
SIGNATURE = Markup(' <span class="signature">measured by {}; no run of the ledger</span>').format(COMMAND)
_ORIGIN = "benchmark of class maps, ledgers/benchmarks/entropy.json"


@dataclass(frozen=True)
class Coding:
    """The evidence file, as the page prints it and as prose cites it."""

    ledgers: Path

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The whole file.

        Raises:
            NoRunYet: the benchmark has not been run.
            SiteError: the file is not what the benchmark writes.
        """
        path = self.ledgers / FILE
        if not path.is_file():
            raise NoRunYet(COMMAND)
        try:
            found: Mapping[str, Any] = data.benchmark(path)
            if not all(row["exact"] for row in found["rows"]) or not found["spent"]["events"]:
                raise ValueError("a row that was not compared, or no events")
        except (ValueError, KeyError, TypeError) as error:
            raise SiteError(
                str(path), expected=f"what `{COMMAND}` writes", found=str(error), fix="run it again"
            ) from None
        return found

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Every coder, fewest bytes first."""
        return sorted(self.data["rows"], key=lambda row: (row["bytes"], row["coder"]))

    @property
    def tensor(self) -> Mapping[str, Any]:
        """Name, sizes and digest of what was coded."""
        found: Mapping[str, Any] = self.data["tensor"]
        return found

    @cached_property
    def events(self) -> list[tuple[str, int, float, float, float]]:
        """Event, pixels, their share, bits, their share: dearest first."""
        rows = self.data["spent"]["events"]
        pixels, bits = sum(row["pixels"] for row in rows), sum(row["bits"] for row in rows)
        found = [(r["event"], r["pixels"], r["pixels"] / pixels, r["bits"], r["bits"] / bits) for r in rows]
        return sorted(found, key=lambda row: -row[3])

    @cached_property
    def pairs(self) -> list[tuple[str, int, float, float]]:
        """Labels on both sides, pixels, bits, share of all bits: dearest first, one in a thousand at least."""
        rows = self.data["spent"]["pairs"]
        total = sum(row["bits"] for row in rows)
        return [
            (_pair(*row["labels"]), row["pixels"], row["bits"], row["bits"] / total)
            for row in rows
            if row["bits"] >= total / 1000
        ]

    def of(self, coder: str) -> Mapping[str, Any]:
        """One row."""
        for row in self.rows:
            if row["coder"] == coder:
                return row
        known = ", ".join(row["coder"] for row in self.rows)
        raise SiteError(f"coding.of({coder!r})", expected=f"one of {known}", found="none")

    def bytes(self, coder: str) -> Markup:
        """Bytes of a coder, cited."""
        return _cited(show.byte_count(self.of(coder)["bytes"]))

    def saves(self, coder: str) -> Markup:
        """By how much ours is smaller than a coder, cited."""
        return _cited(show.percent(1 - self.of("ours")["bytes"] / self.of(coder)["bytes"]))

    def share(self, *names: str) -> Markup:
        """Share of bits that events cost together, cited."""
        return _cited(show.percent(sum(row[4] for row in self.events if self._known(names) and row[0] in names)))

    def pixels(self, *names: str) -> Markup:
        """Share of pixels that are these events, cited."""
        return _cited(show.percent(sum(row[2] for row in self.events if self._known(names) and row[0] in names), 2))

    def price(self, name: str) -> Markup:
        """Bits of one pixel of an event, cited."""
        self._known((name,))
        row = next(row for row in self.events if row[0] == name)
        return _cited(show.scientific(row[3] / row[1]) if row[3] < row[1] / 100 else f"{row[3] / row[1]:.2f}")

    def dearest(self) -> Markup:
        """The dearest pair of labels and its share of the bits, cited."""
        return _cited(f"{self.pairs[0][0]}: {show.percent(self.pairs[0][3])}")

    def first_map(self) -> Markup:
        """Bytes of the first map over the mean of the others, cited."""
        bits = self.data["spent"]["map_bits"]
        return _cited(f"{bits[0] / (sum(bits[1:]) / len(bits[1:])):.1f}×")

    def _known(self, names: tuple[str, ...]) -> bool:
        for name in names:
            if name not in {row[0] for row in self.events}:
                raise SiteError(f"event {name!r}", expected=", ".join(row[0] for row in self.events), found="none")
        return True

    @cached_property
    def figures(self) -> tuple[Figure, Figure]:
        """Size against speed of every coder; bits of every map."""
        return _sizes(self.rows), _maps(self.data["spent"]["map_bits"])

    @property
    def origin(self) -> str:
        """Versions behind the figures."""
        return ", ".join(f"{name} {version}" for name, version in self.data["versions"].items())


def load(ledgers: Path) -> Coding | None:
    """The evidence; None where the benchmark has not been run."""
    found = Coding(ledgers)
    try:
        return found if found.data else None
    except NoRunYet:
        return None


def _cited(text: str) -> Markup:
    return Markup('<a class="cite" href="/entropy/" title="{}">{}</a>').format(_ORIGIN, text)


def _pair(low: int, high: int) -> str:
    return f"{low} alone" if low == high else f"{low} and {high}"


def _sizes(rows: list[Mapping[str, Any]]) -> Figure:
    ours = next(row for row in rows if row["kind"] == "ours")
    others = [row for row in rows if row["kind"] != "ours"]
    marks = tuple(
        Mark(
            x=row["encode_mb_per_s"],
            y=row["bytes"],
            kind=KINDS[row["kind"]],
            tip=f"{row['coder']}: {row['bytes']:,} bytes, {row['encode_mb_per_s']} MB/s",
            name=row["coder"],
            best=row is ours,
        )
        for row in rows
    )
    chart = Chart(
        key="coders",
        title="Bytes of every coder against its speed",
        x=svg.padded([row["encode_mb_per_s"] for row in rows], "labels written, MB per second of processor", log=True),
        y=svg.padded([row["bytes"] for row in rows], "bytes", log=True),
        marks=marks,
    )
    least = others[0]
    finding = Markup("Ours takes {} bytes, {} {} than the next best, {}, at {} MB/s.").format(
        show.byte_count(ours["bytes"]),
        show.percent(abs(1 - ours["bytes"] / least["bytes"])),
        "less" if ours["bytes"] < least["bytes"] else "more",
        least["coder"],
        ours["encode_mb_per_s"],
    )
    columns = ("coder", "kind", "bytes", "bits per pixel", "MB/s written", "MB/s read")
    table = tuple(
        (
            Cell(text=row["coder"]),
            Cell(text=row["kind"]),
            Cell(text=show.byte_count(row["bytes"]), sort=row["bytes"]),
            Cell(text=f"{row['bits_per_pixel']:.5f}", sort=row["bits_per_pixel"]),
            Cell(text=f"{row['encode_mb_per_s']:.1f}", sort=row["encode_mb_per_s"]),
            Cell(text=f"{row['decode_mb_per_s']:.1f}", sort=row["decode_mb_per_s"]),
        )
        for row in rows
    )
    legend = (
        ("promoted", "ours"),
        ("open", "published, made again"),
        ("rejected", "general, picture and video coders"),
    )
    return Figure(
        key="coders",
        title="One tensor, every coder",
        finding=finding + SIGNATURE,
        drawings=(charts.both(chart),),
        columns=columns,
        rows=table,
        legend=legend,
    )


def _maps(bits: list[float]) -> Figure:
    size = [value / 8 for value in bits]
    chart = Chart(
        key="map-bytes",
        title="Bytes of every map",
        x=svg.padded([0.0, float(len(size) - 1)], "map, in display order"),
        y=svg.padded(size, "bytes", floor=0.0),
        lines=(Line(points=tuple((float(index), value) for index, value in enumerate(size)), kind="other-line"),),
        wide=(960.0, 300.0),
        narrow=(380.0, 280.0),
    )
    later = size[1:] or size
    finding = Markup("The first map costs {} bytes, later ones {} on average.").format(
        show.byte_count(round(size[0])), show.byte_count(round(sum(later) / len(later)))
    )
    rows = tuple(
        (Cell(text=str(index), sort=index), Cell(text=f"{value:.1f}", sort=value)) for index, value in enumerate(size)
    )
    return Figure(
        key="map-bytes",
        title="What every map costs",
        finding=finding + SIGNATURE,
        drawings=(charts.both(chart),),
        columns=("map", "bytes"),
        rows=rows,
    )
