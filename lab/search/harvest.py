"""From a recorded run to an anchor: only what was measured on the asked axis, closes, and recomputes."""

from __future__ import annotations

import json

from lab.contract import Contract
from lab.errors import SearchError
from lab.ledger import Ledger, Run

TOLERANCE = 1e-9
LIMIT_BYTES = 4_000_000


def harvest(ledger: Ledger, contract: Contract, identifier: str, *, axis: str) -> Run:
    """The run of this id, if its evaluation on disk is readable, names its archive, and gives its total again.

    Raises:
        SearchError: another axis, a grade that does not rank, an evaluation that is missing, unreadable, of another
            archive, or whose components give another total.
    """
    run = ledger.get(contract, identifier)
    where = f"harvest of {run.id}"
    if run.axis != axis:
        raise SearchError(where, expected=f"axis {axis}", found=run.axis)
    if run.grade not in ("A++", "A", "A-negative"):
        raise SearchError(where, expected="a grade that ranks", found=run.grade)
    path = ledger.evidence(contract.name, run.id) / "evaluation.json"
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SearchError(where, expected="an evaluation of ordinary size", found=f"{path.stat().st_size:,} bytes")
        table = json.loads(path.read_text(encoding="utf-8"))
        measured, digest = table["evaluation"], table["custody"]["archive_sha256"]
        total = contract.score(
            segnet=measured["segnet"], posenet=measured["posenet"], archive_bytes=measured["archive_bytes"]
        ).total
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SearchError(where, expected="a readable evaluation.json", found=str(error)[:200]) from None
    if digest != run.data["custody"]["archive_sha256"]:
        raise SearchError(where, expected="the archive on record", found=str(digest)[:16])
    if abs(total - run.total) > TOLERANCE:
        raise SearchError(where, expected=f"a total of {run.total!r}", found=repr(total))
    return run
