"""A batch: candidates that a rank has chosen and a gate has passed, on disk between the rank and the dispatch.

The outcome of each job is written down beside the batch when it arrives. A driver that dies is started again with the
same command: what is written down is not asked for again, and what a worker finished in the meantime is found in the
ledger by its recipe.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import contract as contracts
from lab import experiment, recipe
from lab.contract import Contract
from lab.errors import SearchError
from lab.evaluator.compute import calm_torch
from lab.experiment import Bench
from lab.recipe import Recipe
from lab.search.claims import claimed
from lab.search.dispatch import Caps, Job, Outcome, dispatch, refuse
from lab.store import write_atomic

SCHEMA = "lab.batch/1"
LIMIT_BYTES = 16_000_000
LIMIT_ROWS = 10_000
Call = Callable[[Recipe, str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate: its recipe as text, what it should cost in seconds, whether its gate has passed it."""

    candidate: str
    recipe: str
    cost_s: float
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows under one state of a contract."""

    contract: str
    contract_sha256: str
    rows: tuple[Row, ...]


def write(path: Path, batch: Batch) -> None:
    """Write a batch in one step."""
    table = {"schema": SCHEMA, **asdict(batch)}
    write_atomic(path, (json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read(path: Path, contract: Contract) -> Batch:
    """The batch in a file; one bad row refuses all of it.

    Raises:
        SearchError: the file is no batch, too large, or of another state of the contract; a row's field is missing,
            unknown or of the wrong type.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SearchError(path.name, expected=f"at most {LIMIT_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
        table = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(table, dict) or table.pop("schema", None) != SCHEMA or not isinstance(table["rows"], list):
            raise ValueError(f"schema {SCHEMA} and a list of rows")
        if len(table["rows"]) > LIMIT_ROWS:
            raise ValueError(f"at most {LIMIT_ROWS:,} rows")
        found = Batch(**{**table, "rows": tuple(Row(**row) for row in table["rows"])})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SearchError(path.name, expected="a batch of `lab search rank --batch`", found=str(error)[:200]) from None
    if (found.contract, found.contract_sha256) != (contract.name, contract.digest):
        other = f"one of {found.contract!r}"[:100]
        raise SearchError(
            path.name, expected=f"a batch under this state of {contract.name}", found=other, fix="rank again"
        )
    for row in found.rows:
        where = f"{path.name}, {str(row.candidate)[:100]!r}"
        numeric = isinstance(row.cost_s, int | float) and not isinstance(row.cost_s, bool)
        if not (isinstance(row.candidate, str) and isinstance(row.recipe, str) and isinstance(row.ready, bool)):
            raise SearchError(where, expected="a name, a recipe, and whether it is ready")
        if not numeric or not math.isfinite(row.cost_s):
            raise SearchError(where, expected="a cost in seconds", found=repr(row.cost_s)[:50])
    return found


def run(asked: Recipe, name: str, contract_sha256: str, bench: Bench) -> str:
    """Id of the run of a recipe, recorded now or before: whoever asks at the same time waits and finds it.

    Raises:
        SearchError: the contract here is in another state than the one that was asked about.
        LabError: the run failed.
    """
    calm_torch()
    contract = contracts.load(name, bench.ledgers)
    if contract.digest != contract_sha256:
        raise SearchError(
            f"contract {name!r} of this worker", expected=f"state {contract_sha256[:16]}", found=contract.digest[:16],
            fix="bring the worker's checkout to the driver's commit",
        )  # fmt: skip
    with claimed(bench.ledgers / "searches" / ".claims" / f"{contract.digest[:16]}-{asked.digest[:24]}"):
        return experiment.run(asked, contract, bench, once=True)[0].id


def jobs(batch: Batch, call: Call) -> list[Job]:
    """A job for each row; `call` runs a recipe under a contract where the job is done, and gives the run's id.

    Raises:
        RecipeError: a row's recipe is none.
    """
    return [
        Job(
            name=row.candidate,
            call=call,
            arguments=(recipe.parse(row.recipe, row.candidate), batch.contract, batch.contract_sha256),
            cost_s=float(row.cost_s),
            ready=row.ready,
        )
        for row in batch.rows
    ]


def send(path: Path, batch: Batch, call: Call, executor: Callable[[], Executor], caps: Caps) -> Iterator[Outcome]:
    """Dispatch what a batch still lacks, and write each outcome down as it arrives.

    Raises:
        SearchError: see `lab.search.dispatch.refuse`; the whole batch is looked at, and nothing has started then.
    """
    asked = jobs(batch, call)
    refuse(asked, Caps(per_job_s=caps.per_job_s, per_dispatch_s=math.inf, total_s=caps.total_s))
    log = outcomes_path(path)
    done = {str(row["candidate"]): row for row in outcomes(log) if "run" in row}
    spent = sum(job.cost_s for job in asked if job.name in done)
    left = [job for job in asked if job.name not in done]
    for outcome in dispatch(left, executor, caps=caps, spent_s=spent):
        row = {"candidate": outcome.job.name, "error" if outcome.error else "run": outcome.error or outcome.result}
        _append(log, row)
        yield outcome


def outcomes_path(path: Path) -> Path:
    """Where the outcomes of a batch are kept: JSON lines beside it."""
    return path.with_suffix(".outcomes.jsonl")


def outcomes(log: Path) -> Sequence[dict[str, Any]]:
    """Outcomes that are written down, in the order of their arrival; a line that a kill tore is left out."""
    found = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "candidate" in row:
            found.append(row)
    return found


def _append(log: Path, row: dict[str, Any]) -> None:
    with log.open("ab") as stream:
        if stream.tell() and not log.read_bytes().endswith(b"\n"):
            stream.write(b"\n")
        stream.write(json.dumps(row, sort_keys=True).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
