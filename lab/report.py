"""report.txt: the public evaluator's layout, with digits enough to recompute the total."""

from __future__ import annotations

import re

from lab.contract import Contract, Score
from lab.errors import EvaluationError

LIMIT_CHARACTERS = 1 << 16
_FLOAT = r"([0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[-+]?[0-9]{1,3})?)"
_FIGURES = {
    "posenet": rf"Average PoseNet Distortion:\s*{_FLOAT}",
    "segnet": rf"Average SegNet Distortion:\s*{_FLOAT}",
    "archive_bytes": r"Submission file size:\s*([0-9,]{1,30})",
    "source_bytes": r"Original uncompressed size:\s*([0-9,]{1,30})",
    "rate": rf"Compression Rate:\s*{_FLOAT}",
    "total": rf"Final score:[^\n=]*=\s*{_FLOAT}",
    "n_pairs": r"results over ([0-9,]{1,30}) samples",
}


def write(
    contract: Contract,
    score: Score,
    *,
    segnet: float,
    posenet: float,
    archive_bytes: int,
    axis: str,
    archive_sha256: str = "",
) -> str:
    """The text of a report.

    Args:
        segnet, posenet: measured components, full precision.
        archive_sha256: digest of the measured archive; without it a report names no bytes.
    """
    formula = contract.formula
    named = f"  Submission file sha256: {archive_sha256}\n" if archive_sha256 else ""
    return (
        "=== Evaluation config ===\n"
        f"  contract: {contract.name}\n"
        f"  device: {axis}\n"
        f"=== Evaluation results over {contract.n_pairs} samples ===\n"
        f"  Average PoseNet Distortion: {posenet:.17g}\n"
        f"  Average SegNet Distortion: {segnet:.17g}\n"
        f"  Submission file size: {archive_bytes:,} bytes\n"
        f"{named}"
        f"  Original uncompressed size: {contract.source.bytes:,} bytes\n"
        f"  Compression Rate: {archive_bytes / contract.source.bytes:.17g}\n"
        f"  Final score: {formula.segnet:g}*segnet_dist + √({formula.posenet:g}*posenet_dist)"
        f" + {formula.rate:g}*rate = {score.total:.12f}\n"
    )


def read(text: str) -> dict[str, float]:
    """The figures of a report, ours or the public evaluator's.

    Returns:
        posenet, segnet, archive_bytes, source_bytes, rate, total, n_pairs.

    Raises:
        EvaluationError: a figure is missing, stands there twice, or the text is too long to be a report.
    """
    if len(text) > LIMIT_CHARACTERS:
        raise EvaluationError("report.txt", expected=f"at most {LIMIT_CHARACTERS:,} characters", found=f"{len(text):,}")
    found: dict[str, float] = {}
    for name, pattern in _FIGURES.items():
        matches = re.findall(pattern, text)
        if len(matches) != 1 or not matches[0].strip(","):
            raise EvaluationError("report.txt", expected=f"one line with {name}", found=str(len(matches)))
        found[name] = float(matches[0].replace(",", ""))
    return found


def digest(text: str) -> str | None:
    """The archive digest that a report names, None where it names none."""
    match = re.search(r"Submission file sha256:\s*([0-9a-f]{64})\b", text)
    return match.group(1) if match else None


def precision(text: str) -> float:
    """Half a unit of the last digit in which a report prints its total: the public evaluator prints two decimals."""
    match = re.search(r"Final score:[^\n=]*=\s*[0-9]+(?:\.([0-9]+))?", text)
    return 0.5 * 10.0 ** -len(match.group(1) or "") if match else 0.0
