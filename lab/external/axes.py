"""What separates the CPU and the CUDA score of one archive: ratios and gap by family, and decoder against device.

The CPU axis decodes the reference with PyAV and runs the networks on the processor; the CUDA axis decodes it with DALI
and runs them on a GPU. Two runs took the middle way, PyAV and GPU, and so tell the two causes apart.

Notes:
    Entries with equal components on both axes decode to the same frames and count once. Uncertainty is the sample's
    standard deviation and the 95 % interval of the mean by Student's t; the rounding of the printed components is
    carried as an interval beside each ratio.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.contract import Contract
from lab.external.claim import Claim
from lab.external.record import Record
from lab.external.relations import axis_rows, repeated

SCHEMA = "lab.axis-analysis/1"
# What the groups of the facts have in common: how the frames are made, and on which reference they were tuned.
FAMILIES = {
    "medal_band": "hnerv",
    "post_deadline_replay": "hnerv",
    "post_deadline": "hnerv",
    "quantizr_family": "masks-and-renderer",
}
MIXED = "pyav decode, cuda networks"
# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One entry on both axes. Ratios and gap are CUDA over, or minus, CPU; `*_reach` is half the rounding interval.

    `counts` is false for a repeat of another entry; `kin` names entries that share its SegNet components or archive, so
    that it is no fully independent sample beside them.
    """

    entry: str
    title: str
    family: str
    group: str
    records: tuple[str, str]
    pose_ratio: float
    pose_ratio_reach: float
    seg_ratio: float
    seg_ratio_reach: float
    gap: float
    gap_from_pose: float
    gap_from_seg: float
    counts: bool
    kin: tuple[str, ...]


def pairs(records: Sequence[Record], contract: Contract) -> list[Pair]:
    """Every entry with components on both axes; a repeat of another entry does not count."""
    rows = {(str(row.facts["entry"]), row.axis): row for row in axis_rows(records)}
    again = {row.facts["entry"] for group in repeated(records) for row in group[1:]}
    made = []
    for (entry, axis), cpu in rows.items():
        cuda = rows.get((entry, "cuda"))
        if axis != "cpu" or cuda is None or cpu.claim is None or cuda.claim is None:
            continue
        low, high = cpu.claim, cuda.claim
        seg, pose = _terms(low, high, contract)
        made.append(
            Pair(
                entry=entry,
                title=cpu.title,
                family=FAMILIES.get(str(cpu.facts.get("group")), "other"),
                group=str(cpu.facts.get("group")),
                records=(cpu.id, cuda.id),
                pose_ratio=_value(high.posenet) / _value(low.posenet),
                pose_ratio_reach=_reach(high.posenet, low.posenet, high.places, low.places),
                seg_ratio=_value(high.segnet) / _value(low.segnet),
                seg_ratio_reach=_reach(high.segnet, low.segnet, high.places, low.places),
                gap=_value(high.recomputed) - _value(low.recomputed),
                gap_from_pose=pose,
                gap_from_seg=seg,
                counts=entry not in again,
                kin=_kin(cpu, cuda, rows, records),
            )
        )
    return made


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Count, mean, standard deviation and the 95 % interval of the mean; no spread for a single value."""
    n = len(values)
    told: dict[str, Any] = {"n": n, "mean": statistics.fmean(values), "min": min(values), "max": max(values)}
    if n > 1:
        deviation = statistics.stdev(values)
        half = _T95[min(n - 2, len(_T95) - 1)] * deviation / math.sqrt(n)
        told.update(standard_deviation=deviation, mean_95=[told["mean"] - half, told["mean"] + half])
    return told


def causes(records: Sequence[Record]) -> list[dict[str, Any]]:
    """How much of the gap the reference's decoder explains, for the runs that changed only one of the two.

    Notes:
        share = (cuda - mixed) / (cuda - cpu): 1 where the decoder explains the whole gap, 0 where the device does.
        `reach` is half the interval that the rounding of the printed components leaves to the total's share.
        `stand_in`: the mixed run's entry has no CPU row, so that of another entry with the same archive size stands in.
    """
    rows = [row for row in axis_rows(records) if row.claim]
    told = []
    for mixed in (row for row in rows if row.axis == MIXED):
        known = {row.axis: row for row in rows if row.axis in ("cpu", "cuda") and row.pr == mixed.pr}
        stand_in = len(known) < 2
        if stand_in:
            alike = [row for row in rows if row.archive_bytes == mixed.archive_bytes]
            known = {row.axis: row for row in alike if row.axis in ("cpu", "cuda")}
        if len(known) == 2:
            cpu, cuda = known["cpu"], known["cuda"]
            told.append(
                {
                    "mixed": mixed.id,
                    "cpu": cpu.id,
                    "cuda": cuda.id,
                    "stand_in": stand_in,
                    "totals": {"cpu": cpu.total, "mixed": mixed.total, "cuda": cuda.total},
                    "decoder_share": {
                        name: _share(mixed, cpu, cuda, field)
                        for name, field in (("segnet", "segnet"), ("posenet", "posenet"), ("total", "recomputed"))
                    },
                    "reach": _share_reach(mixed, cpu, cuda),
                }
            )
    return told


def hardware(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Entries measured on two machines with one decoder: how far the totals lie apart.

    Notes:
        `stated` is true where the other machine's total came without components and stands as printed.
    """
    told = []
    for other in records:
        if other.kind != "axis row" or other.facts.get("group") != "other hardware" or other.claim is None:
            continue
        axis = "cpu" if "cpu" in str(other.facts.get("axis_as_stated", other.axis)).lower() else other.axis
        total = other.total if other.total is not None else other.claim.stated
        told += [
            {
                "records": [row.id, other.id],
                "machine": str(other.facts.get("axis_as_stated", other.axis)),
                "totals": [row.total, total],
                "gap": _value(total) - _value(row.total),
                "stated": other.total is None,
            }
            for row in axis_rows(records)
            if row.pr == other.pr and row.axis == axis
        ]
    return told


def analyse(records: Sequence[Record], notes: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """The whole analysis as plain data.

    Args:
        notes: the remarks of the collection of axes, where a published summary may stand.
    """
    made = pairs(records, contract)
    families: dict[str, Any] = {}
    for family in sorted({pair.family for pair in made}):
        rows = [pair for pair in made if pair.family == family and pair.counts]
        figures = ("pose_ratio", "seg_ratio", "gap", "gap_from_pose", "gap_from_seg")
        families[family] = {name: spread([getattr(pair, name) for pair in rows]) for name in figures}
        families[family]["gap_sign"] = sorted({"cuda higher" if pair.gap > 0 else "cuda lower" for pair in rows})
        families[family]["pose_share_of_gap"] = spread([pair.gap_from_pose / pair.gap for pair in rows])
    stated: Mapping[str, Any] = next(
        (item["stated_prints"] for item in notes.values() if "stated_prints" in _mapping(item)), {}
    )
    return {
        "schema": SCHEMA,
        "formula": {
            "segnet": contract.formula.segnet,
            "posenet": contract.formula.posenet,
            "rate": contract.formula.rate,
        },
        "pairs": [asdict(pair) for pair in made],
        "families": families,
        "causes": causes(records),
        "hardware": hardware(records),
        "stated_summary": _summary(stated, made),
    }


def _summary(stated: Mapping[str, Any], made: Sequence[Pair]) -> dict[str, Any]:
    """The published mean and deviation of each figure beside ours, over all of its rows and over those that count."""
    names = {"r_pose": "pose_ratio", "r_seg": "seg_ratio", "delta": "gap"}
    band = [pair for pair in made if pair.group == "medal_band"]
    told = {}
    for name, own in names.items():
        if name in stated and band:
            told[own] = {
                "stated": stated[name],
                "all_rows": spread([getattr(pair, own) for pair in band]),
                "rows_that_count": spread([getattr(pair, own) for pair in band if pair.counts]),
            }
    return told


def _kin(
    cpu: Record, cuda: Record, rows: Mapping[tuple[str, str | None], Record], records: Sequence[Record]
) -> tuple[str, ...]:
    """Entries with the same SegNet components on both axes, or with the same archive."""
    named = [record for record in records if record.pr and record.archive_sha256]
    digests: dict[int | None, str | None] = {record.pr: record.archive_sha256 for record in named}
    mine = digests.get(cpu.pr)
    found = set()
    for (entry, axis), other in rows.items():
        beside = rows.get((entry, "cuda"))
        if axis != "cpu" or other is cpu or beside is None:
            continue
        seg = _segnet(other) == _segnet(cpu) and _segnet(beside) == _segnet(cuda)
        if seg or (mine is not None and digests.get(other.pr) == mine):
            found.add(entry)
    return tuple(sorted(found))


def _segnet(record: Record) -> float | None:
    return record.claim.segnet if record.claim else None


def _terms(cpu: Claim, cuda: Claim, contract: Contract) -> tuple[float, float]:
    """(gap of the SegNet terms, gap of the PoseNet terms)."""
    low, high = (
        contract.score(
            segnet=_value(made.segnet), posenet=_value(made.posenet), archive_bytes=made.archive_bytes or 1
        )
        for made in (cpu, cuda)
    )  # fmt: skip
    return high.segnet_term - low.segnet_term, high.posenet_term - low.posenet_term


def _share(mixed: Record, cpu: Record, cuda: Record, field: str) -> float:
    middle, low, high = (_value(getattr(row.claim, field)) for row in (mixed, cpu, cuda))
    return (high - middle) / (high - low)


def _share_reach(mixed: Record, cpu: Record, cuda: Record) -> float:
    """Half the interval of the total's share, from the intervals of the three totals."""
    lows, highs = (
        [_value(getattr(row.claim, side)) for row in (mixed, cpu, cuda)] for side in ("low", "high")
    )  # fmt: skip
    ends = [
        (high - middle) / (high - low)
        for middle in (lows[0], highs[0])
        for low in (lows[1], highs[1])
        for high in (lows[2], highs[2])
    ]
    return (max(ends) - min(ends)) / 2.0


def _reach(high: float | None, low: float | None, high_places: int | None, low_places: int | None) -> float:
    """Half the interval of a ratio of two printed figures."""
    upper, lower = 0.5 * 10.0 ** -(high_places or 0), 0.5 * 10.0 ** -(low_places or 0)
    most = (_value(high) + upper) / (_value(low) - lower)
    least = (_value(high) - upper) / (_value(low) + lower)
    return (most - least) / 2.0


def _value(figure: float | None) -> float:
    return float("nan") if figure is None else float(figure)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
