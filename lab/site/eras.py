"""Where this field came from: the eras of the public record, as points with their sources, and the works referred to.

Everything here is of grade external (or invalid), measured under another contract, and stands apart from our runs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.site import facts
from lab.site import format as show

_REPOSITORY = re.compile(r"^([\w.-]+/[\w.-]+?)(?:@[^:]*)?:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One result of somebody else, as stated."""

    title: str
    stated: str
    n_bytes: int | None
    axis: str
    grade: str
    source: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """A stretch of the public record with the points that mark it."""

    title: str
    says: str
    points: tuple[Point, ...]


def load(external: Path) -> list[Era]:
    """The eras, oldest first; empty without the record.

    Raises:
        SiteError: the record is not a collection of external facts.
    """
    items = facts.records(external / "comma-lab-runs.json")
    of = {kind: [item for item in items if item.get("kind") == kind] for kind in {item.get("kind") for item in items}}
    runs = of.get("run", [])
    if not runs:
        return []
    first, best = runs[0], min(runs, key=_total)
    after = [
        item for item in of.get("run, post floor", []) if str(item["facts"].get("verdict", "")).startswith("promoted")
    ]
    verdicts = Counter(str(item["facts"].get("verdict")) for item in runs)
    replays = sorted(of.get("exact replay", []), key=_total, reverse=True)
    public = [item for item in replays if _total(item) < 1.0]
    return [
        era
        for era in (
            Era(
                title="A codec and a filter",
                says=f"{len(runs)} measured runs of comma-lab: {verdicts['promoted']} promoted, {verdicts['rejected']} "
                "rejected. A standard encoder, then a small network behind it.",
                points=_points([first, best, *after, *of.get("run, track a", [])]),
            ),
            Era(
                title="A renderer instead of a codec",
                says="Masks are sent, a network draws the frames; poses are tuned at the end.",
                points=_points(sorted(of.get("run, era2 control", []), key=_total, reverse=True)),
            ),
            Era(
                title="The archives of the contest, replayed",
                says=f"{len(replays)} exact replays of public archives, from the mask coders to implicit decoders.",
                points=_points(public),
            ),
        )
        if era.points
    ]


def references(external: Path) -> list[tuple[str, int]]:
    """(repository, records that name it) of every public repository that the record was read from."""
    found: Counter[str] = Counter()
    for path in sorted(external.glob("*.json")):
        if path.name not in ("findings.json", "axis-analysis.json"):
            for item in facts.records(path):
                names = {match[1] for text in item.get("sources", ()) if (match := _REPOSITORY.match(str(text)))}
                found.update(names)
    return found.most_common()


def _total(item: Mapping[str, Any]) -> float:
    claim = item["claim"]
    return float(claim["recomputed"] if "recomputed" in claim else claim["stated"])


def _points(items: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    return tuple(_point(item) for item in items)


def _point(item: Mapping[str, Any]) -> Point:
    claim, n_bytes = item["claim"], item.get("archive_bytes")
    places = min(int(claim.get("stated_places", 2)), 6)
    changed = item["facts"].get("changed_axis")
    remark = ", ".join(map(str, changed)) if isinstance(changed, list) else ""
    return Point(
        title=facts.text(item, "title"),
        stated=show.score(float(claim["stated"]), places),
        n_bytes=int(n_bytes) if n_bytes else None,
        axis=facts.text(item, "axis"),
        grade=facts.text(item, "grade"),
        source=facts.source(item),
        remark=facts.inert(remark)[: facts.TEXT_LIMIT],
    )
