"""The *Inflate timeline* page: what a decoder does with an archive, stage by stage, measured and in bytes.

The times come from `ledgers/benchmarks/inflate.json`, which `tests/benchmarks/bench_inflate.py` writes for the best
kept run of each family; the bytes that a stage reads come from the anatomy of the same archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.errors import SiteError
from lab.site import charts, data, drawn
from lab.site import format as show
from lab.site.book import Board, Entry

SCHEMA = "lab.inflate/1"
FILE = "benchmarks/inflate.json"
TONES = 8
REST = "elsewhere"

# stage -> what happens in it
WORDS = {
    "header": "the first bytes say which decoder, which sizes and where each stream lies",
    "video decoder": "dav1d or libavcodec turns the coded video into planes",
    "colour": "planes to RGB",
    "filters": "sharpening and noise, where the header asks for them",
    "inner codec": "the video inside, decoded by its own family and enlarged to the camera",
    "to the grid": "the evaluator's resize, so that the filter sees what the networks will",
    "weights": "codes times steps: the network that travelled in the archive",
    "post-filter": "the network runs over every frame",
    "streams": "entropy decoding of weights, latents and fields",
    "decoder": "the network draws every pair from its latent",
    "m": "range decoder and mixing model: class maps, exact",
    "w": "codes times steps: the renderer",
    "p, r": "poses and actions",
    "last frames": "drawn from the class map alone",
    "first frames": "drawn for their pose, then the actions",
    "enlarge": "up-sampling to the camera's grid",
    "writing raw frames": "raw frames out, hashed",
    REST: "everything between the stages",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: processor time, its share of the whole, and the bytes that it reads (0: none)."""

    name: str
    says: str
    spent_s: float
    share: float
    n_bytes: int
    tone: int

    @property
    def kind(self) -> str:
        """The class of its colour; what lies between the stages has none."""
        return "rest" if self.name == REST else f"tone tone-{self.tone % TONES}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The stages of one decoder in their order, as a bar to scale; `cells` retell them where a family has eight."""

    entry: Entry
    total_s: float
    pairs: int
    stages: tuple[Stage, ...]
    bar: Markup
    cells: tuple[drawn.Step, ...]

    @property
    def largest(self) -> Stage:
        """The stage that takes the most."""
        return max(self.stages, key=lambda stage: stage.spent_s)


def load(ledgers: Path, board: Board | None) -> list[Timeline]:
    """The measured decoders, best run first; those whose run is no longer on the board are left out.

    Raises:
        SiteError: the file is not what the benchmark writes.
    """
    path = ledgers / FILE
    if board is None or not path.is_file():
        return []
    try:
        read = data.benchmark(path)
        if read["schema"] != SCHEMA:
            raise ValueError(f"schema {read['schema']!r}")
        if read["contract"] != board.contract.name:
            return []
        found = [_timeline(row, board.by_id[row["run"]]) for row in read["rows"] if row["run"] in board.by_id]
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(FILE, expected=f"the stages of decoders, schema {SCHEMA}", found=str(error)[:200]) from None
    return sorted(found, key=lambda item: (item.entry.total, item.entry.id))


def _timeline(row: Mapping[str, Any], entry: Entry) -> Timeline:
    total = float(row["processor_s"])
    sizes = _sizes(entry)
    stages = []
    for index, item in enumerate(row["stages"]):
        spent = float(item["processor_s"])
        name = str(item["stage"])
        if not 0.0 <= spent <= total * 1.01 or name not in WORDS:
            raise ValueError(f"stage {name[:40]!r} of {spent} s")
        stages.append(
            Stage(
                name=name,
                says=WORDS[name],
                spent_s=spent,
                share=spent / total,
                n_bytes=sizes.get(name, 0),
                tone=index,
            )
        )
    parts = [
        (stage.spent_s, stage.kind, f"{stage.name}: {show.seconds(stage.spent_s)}") for stage in stages if stage.spent_s
    ]
    label = f"{entry.slug}: {show.seconds(total)} of processor time in {len(stages)} stages; the table names them"
    return Timeline(
        entry=entry,
        total_s=total,
        pairs=int(row["pairs"]),
        stages=tuple(stages),
        bar=charts.bar(parts, sum(part[0] for part in parts) or 1.0, label=label, height=54.0),
        cells=tuple(drawn.timeline(entry)),
    )


def _sizes(entry: Entry) -> dict[str, int]:
    """Bytes that a stage reads, where the anatomy has a section of that name."""
    named: dict[str, int] = {}
    for section in entry.anatomy.sections if entry.anatomy else ():
        for inner in section.walk():  # the outermost of a name
            named.setdefault(inner.name, inner.n_bytes)
    sizes: dict[str, int] = {name: named[name] for name in ("header", "m", "w", "weights") if name in named}
    if {"p", "r"} <= named.keys():
        sizes["p, r"] = named["p"] + named["r"]
    for video in ("video", "inner"):
        if video in named:
            sizes |= {"video decoder": named[video], "inner codec": named[video]}
    return sizes
