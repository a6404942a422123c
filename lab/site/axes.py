"""CPU against CUDA: archives that others measured on both axes, as figures, tables and files.

Every figure comes from `lab.external.axes`, which recomputes it from the components that were published; nothing of it
is a run of this lab, and nothing is ranked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lab.external.record import Record
from lab.site import charts, data, sanitize, svg
from lab.site import format as show
from lab.site.charts import Cell, Chart, Figure, Line, Mark
from lab.site.cite import NoRunYet
from lab.site.data import Content
from lab.site.quoted import PublicRecord

WIDE, NARROW = (960.0, 300.0), (380.0, 300.0)
SPREAD, MEAN_REACH, CAP_REACH = 0.52, 0.34, 0.06
# figure of a pair -> what its axis says, decimals in a table, value where the axes agree, logarithmic
MEASURES: dict[str, tuple[str, int, float, bool]] = {
    "pose_ratio": ("pose distortion, CUDA over CPU", 3, 1.0, True),
    "seg_ratio": ("SegNet distortion, CUDA over CPU", 4, 1.0, True),
    "gap": ("score on CUDA minus score on CPU", 5, 0.0, False),
}
STOPS = (("cpu", "PyAV, processor"), ("mixed", "PyAV, card"), ("cuda", "DALI, card"))
_SIGNATURE = Markup('<span class="signature">measured by others, grade external; no run of this lab</span>')


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """One family of archives: how many entries count, and (mean, 95 % interval, deviation) of every measure."""

    name: str
    n: int
    measures: tuple[tuple[str, str, str], ...]
    pose_share: str
    sign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Everything that the page shows, and the files behind it."""

    n_pairs: int
    families: tuple[FamilyRow, ...]
    figures: tuple[Figure, ...]
    machines: tuple[tuple[str, str, str, str, str], ...]
    farther: tuple[str, ...]
    files: Mapping[str, Content]


def load(ledgers: Path) -> Axes | None:
    """The analysis of the axes; None where no public record was imported, or it has no entry on both axes."""
    public = PublicRecord(ledgers)
    try:
        told, records = public.shelf.analysis, public.shelf.records
    except NoRunYet:
        return None
    if not told["pairs"]:
        return None
    figures = [_ratios(told), _causes(told["causes"], records)]
    return Axes(
        n_pairs=len(told["pairs"]),
        families=tuple(_family(name, row) for name, row in told["families"].items()),
        figures=tuple(figure for figure in figures if figure),
        machines=tuple(_machine(row, records) for row in told["hardware"]),
        farther=tuple(_farther(told, records)),
        files=_files(public, told),
    )


def _family(name: str, row: Mapping[str, Any]) -> FamilyRow:
    measures = []
    for key, (_, digits, _, _) in MEASURES.items():
        spread = row[key]
        low, high = spread.get("mean_95", (spread["mean"], spread["mean"]))
        deviation = show.score(spread["standard_deviation"], digits) if "standard_deviation" in spread else "–"
        measures.append(
            (_number(key, spread["mean"]), f"{_number(key, low)} to {_number(key, high)}", deviation)
        )  # fmt: skip
    share = row["pose_share_of_gap"]
    return FamilyRow(
        name=name,
        n=int(row["gap"]["n"]),
        measures=tuple(measures),
        pose_share=show.percent(share["mean"], 0) if len(row["gap_sign"]) == 1 and share["min"] > 0 else "no one share",
        sign=" and ".join(row["gap_sign"]),
    )


def _number(key: str, value: float) -> str:
    digits = MEASURES[key][1]
    return show.signed(value, digits) if key == "gap" else show.score(value, digits)


def _ratios(told: Mapping[str, Any]) -> Figure:
    """Both ratios and the gap of every entry, by family, with the mean of each family and its interval."""
    families = list(told["families"])
    pairs = sorted(told["pairs"], key=lambda pair: (pair["family"], -pair["gap"]))
    columns = (
        "entry",
        "family",
        *(text for text, *_ in MEASURES.values()),
        "of the gap from pose",
        "from SegNet",
        "counts",
    )
    return Figure(
        key="axes-by-family",
        title="Two ratios and a gap, by family",
        finding=_finding(told["families"]),
        drawings=tuple(charts.both(_strip(key, pairs, told["families"], families)) for key in MEASURES),
        columns=columns,
        rows=tuple(_row(pair) for pair in pairs),
        legend=(
            ("external", "one entry; a broken outline repeats another and does not count"),
            ("mean-line", "mean of the entries that count"),
            ("interval", "its 95 % interval"),
            ("level", "no difference between the axes"),
        ),
        table_title="Every entry as a table",
    )


def _finding(families: Mapping[str, Any]) -> Markup:
    text = Markup("")
    for name, row in families.items():
        gap = row["gap"]
        low, high = gap.get("mean_95", (gap["mean"], gap["mean"]))
        text += Markup("On CUDA {} entries of the family {} score {} {} than on CPU (95 % interval {} to {}). ").format(
            gap["n"], name, show.score(abs(gap["mean"]), 4), "higher" if gap["mean"] > 0 else "lower",
            show.signed(low, 4), show.signed(high, 4),
        )  # fmt: skip
    signs = {sign for row in families.values() for sign in row["gap_sign"]}
    if len(signs) > 1:
        text += Markup("Neither axis is the kinder one: the sign turns from one family to the other. ")
    return text + _SIGNATURE


def _strip(key: str, pairs: Sequence[Mapping[str, Any]], spreads: Mapping[str, Any], families: list[str]) -> Chart:
    label, _, level, log = MEASURES[key]
    marks, lines, reached = [], [], [level]
    lines.append(Line(points=((0.5, level), (len(families) + 0.5, level)), kind="level"))
    for place, family in enumerate(families, 1):
        rows = sorted((pair for pair in pairs if pair["family"] == family), key=lambda pair: float(pair[key]))
        step = SPREAD / max(len(rows) - 1, 1)
        marks += [_mark(key, pair, place - SPREAD / 2 + step * index) for index, pair in enumerate(rows)]
        spread = spreads[family][key]
        low, high = spread.get("mean_95", (spread["mean"], spread["mean"]))
        lines.append(Line(points=((place, low), (place, high)), kind="interval"))
        lines += [
            Line(points=((place - reach, at), (place + reach, at)), kind=kind)
            for at, reach, kind in (
                (low, CAP_REACH, "interval"), (high, CAP_REACH, "interval"), (spread["mean"], MEAN_REACH, "mean-line"),
            )
        ]  # fmt: skip
        reached += [low, high, *(float(pair[key]) for pair in rows)]
    ticks = tuple((float(i), f"{name} ({spreads[name][key]['n']})") for i, name in enumerate(families, 1))
    return Chart(
        key=f"axes-{key.replace('_', '-')}",
        title=label.capitalize(),
        x=svg.Axis(label="", lo=0.5, hi=len(families) + 0.5),
        y=svg.padded(reached, label, log=log),
        marks=tuple(marks),
        lines=tuple(lines),
        wide=WIDE,
        narrow=NARROW,
        x_ticks=ticks,
    )


def _mark(key: str, pair: Mapping[str, Any], x: float) -> Mark:
    repeats = "" if pair["counts"] else ", repeats another entry and does not count"
    return Mark(
        x=x,
        y=float(pair[key]),
        kind="external",
        tip=f"{pair['title']}: {MEASURES[key][0]} {_number(key, pair[key])}{repeats}",
        unranked=not pair["counts"],
    )


def _row(pair: Mapping[str, Any]) -> tuple[Cell, ...]:
    figures = [Cell(text=_number(key, pair[key]), sort=float(pair[key])) for key in MEASURES]
    parts = [Cell(text=show.signed(pair[key], 5), sort=float(pair[key])) for key in ("gap_from_pose", "gap_from_seg")]
    told = "yes" if pair["counts"] else "no, a repeat"
    return (Cell(text=pair["title"]), Cell(text=pair["family"]), *figures, *parts, Cell(text=told))


def _causes(causes: Sequence[Mapping[str, Any]], records: Mapping[str, Record]) -> Figure | None:
    """The runs between both axes: PyAV's reference, networks on a card."""
    if not causes:
        return None
    marks, lines = [], []
    for cause in causes:
        points = tuple((float(at), float(cause["totals"][key])) for at, (key, _) in enumerate(STOPS, 1))
        name = records[cause["mixed"]].title
        lines.append(Line(points=points, kind="side-branch" if cause["stand_in"] else "other-line"))
        marks += [
            Mark(x=x, y=y, kind="external", tip=f"{records[cause[key]].title}, {text}: {show.score(y)}",
                 name=name if key == "mixed" else "")
            for (x, y), (key, text) in zip(points, STOPS, strict=True)
        ]  # fmt: skip
    chart = Chart(
        key="axes-decoder-or-device",
        title="Score by decoder of the reference and device of the networks",
        x=svg.Axis(label="", lo=0.6, hi=3.4),
        y=svg.padded((mark.y for mark in marks), "score, lower is better"),
        marks=tuple(marks),
        lines=tuple(lines),
        wide=WIDE,
        narrow=NARROW,
        x_ticks=tuple((float(at), text) for at, (_, text) in enumerate(STOPS, 1)),
    )
    shares = " and ".join(_share(cause) for cause in causes)
    finding = Markup(
        "Only the device changes between the first two places, only the decoder between the last two. The score moves "
        "at the second step: the decoder explains {} of the gap. "
    ).format(shares)
    if any(cause["stand_in"] for cause in causes):
        finding += Markup("The broken line takes its ends from another entry with an archive of the same size. ")
    return Figure(
        key=chart.key,
        title="Decoder or device",
        finding=finding + _SIGNATURE,
        drawings=(charts.both(chart),),
        columns=(
            "entry between the axes",
            *(text for _, text in STOPS),
            "share of the decoder",
            "in pose",
            "in SegNet",
            "ends",
        ),
        rows=tuple(_cause_row(cause, records) for cause in causes),
        legend=(("other-line", "all three of one entry"), ("side-branch", "ends of another entry of the same size")),
    )


def _share(cause: Mapping[str, Any]) -> str:
    return f"{show.percent(cause['decoder_share']['total'])} ± {show.percent(cause['reach'], 2)}"


def _cause_row(cause: Mapping[str, Any], records: Mapping[str, Record]) -> tuple[Cell, ...]:
    totals = [Cell(text=show.score(cause["totals"][key]), sort=float(cause["totals"][key])) for key, _ in STOPS]
    parts = [Cell(text=show.percent(cause["decoder_share"][key])) for key in ("posenet", "segnet")]
    ends = records[cause["cpu"]].title if cause["stand_in"] else "its own"
    return (Cell(text=records[cause["mixed"]].title), *totals, Cell(text=_share(cause)), *parts, Cell(text=ends))


def _machine(row: Mapping[str, Any], records: Mapping[str, Record]) -> tuple[str, str, str, str, str]:
    """(entry, axis of the first total, other machine, both totals, distance) of one entry on two machines."""
    first = records[row["records"][0]]
    low, high = row["totals"]
    both = f"{show.score(low)} and {show.score(high)}"
    return first.title, str(first.axis), str(row["machine"]), both, show.signed(row["gap"])


def _farther(told: Mapping[str, Any], records: Mapping[str, Record]) -> Iterator[str]:
    """Entries that lie further apart on two machines of one axis than between the axes, told in words."""
    gaps = {name: pair["gap"] for pair in told["pairs"] for name in pair["records"]}
    for row in told["hardware"]:
        between = gaps.get(row["records"][0])
        if between is not None and abs(row["gap"]) > abs(between):
            yield (
                f"{records[row['records'][0]].title} scores {show.score(abs(row['gap']), 4)} apart on two machines of "
                f"one axis, and {show.score(abs(between), 4)} apart between the axes"
            )


def _files(public: PublicRecord, told: Mapping[str, Any]) -> dict[str, Content]:
    """The public record as files for machines."""
    files: dict[str, Content] = {
        f"data/external/{found.name}.json": data.dump(found.as_dict()) for found in public.shelf.collections
    }
    files["data/external/findings.json"] = data.dump([found.as_dict() for found in public.shelf.findings])
    files["data/external/axis-analysis.json"] = data.dump(dict(told))
    columns = [name for name in told["pairs"][0] if name not in ("records", "kin")]
    rows = [[pair[name] for name in columns] + list(pair["records"]) for pair in told["pairs"]]
    files["data/external/axis-pairs.csv"] = sanitize.csv_lines([*columns, "cpu_record", "cuda_record"], rows).encode()
    return files
