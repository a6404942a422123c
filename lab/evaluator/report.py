"""report.txt: the public evaluator's layout, with digits enough to recompute the total."""

from __future__ import annotations

import re

from lab.contract import Contract, Score
from lab.errors import EvaluationError

_FLOAT = r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)"


def write(contract: Contract, score: Score, *, segnet: float, posenet: float, archive_bytes: int, axis: str) -> str:
    """The text of a report.

    Args:
        segnet, posenet: measured components, full precision.
    """
    formula = contract.formula
    return (
        "=== Evaluation config ===\n"
        f"  contract: {contract.name}\n"
        f"  device: {axis}\n"
        f"=== Evaluation results over {contract.n_pairs} samples ===\n"
        f"  Average PoseNet Distortion: {posenet:.17g}\n"
        f"  Average SegNet Distortion: {segnet:.17g}\n"
        f"  Submission file size: {archive_bytes:,} bytes\n"
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
        EvaluationError: a figure is missing.
    """
    patterns = {
        "posenet": rf"Average PoseNet Distortion:\s*{_FLOAT}",
        "segnet": rf"Average SegNet Distortion:\s*{_FLOAT}",
        "archive_bytes": r"Submission file size:\s*([0-9,]+)",
        "source_bytes": r"Original uncompressed size:\s*([0-9,]+)",
        "rate": rf"Compression Rate:\s*{_FLOAT}",
        "total": rf"Final score:.*=\s*{_FLOAT}",
        "n_pairs": r"results over ([0-9,]+) samples",
    }
    found: dict[str, float] = {}
    for name, pattern in patterns.items():
        match = re.search(pattern, text)
        if not match:
            raise EvaluationError("report.txt", expected=f"a line with {name}", found="none")
        found[name] = float(match.group(1).replace(",", ""))
    return found
