"""A run's record and its evidence, assembled from a measured packet. Grades are decided here by `lab.evidence` only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import custody, evidence, replay, report
from lab.contract import Contract, Score
from lab.evaluator import measure
from lab.ledger import SCHEMA, Run, run_id, write_atomic
from lab.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A packet measured from its own decoder: components, terms, digests, and the distortion of every pair."""

    measurement: measure.Measurement
    score: Score
    inflation: replay.Inflation
    archive_bytes: int
    archive_sha256: str
    runtime_sha256: str
    runtime_bytes: int
    evaluate_s: float
    axis: str


def verdict(total: float, parent: Run | None) -> tuple[str, str]:
    """Promoted or rejected against the parent, and why in one sentence."""
    if parent is None:
        return "promoted", "starts a lineage: there is no parent to compare with"
    gap = total - parent.total
    if gap < 0:
        return "promoted", f"total {-gap:.6f} below its parent {parent.id}"
    return (
        "rejected",
        f"total {gap:.6f} above its parent {parent.id}" if gap else f"total equal to its parent {parent.id}",
    )


def assemble(
    asked: Recipe,
    contract: Contract,
    result: Evaluated,
    parent: Run | None,
    *,
    encode_s: float,
    commit: str,
    dirty: bool,
) -> dict[str, Any]:
    """The record of a measured packet, before it is graded."""
    decision, why = verdict(result.score.total, parent)
    return {
        "schema": SCHEMA,
        "id": run_id(asked.slug, result.archive_sha256),
        "contract": contract.name,
        "contract_sha256": contract.digest,
        "recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recipe": {
            "name": asked.name,
            "family": asked.family,
            "sha256": asked.digest,
            "question": asked.question,
            "changed": asked.changed,
            "seed": asked.seed,
            "params": asked.params,
        },
        "parents": [parent.id] if parent else [],
        "verdict": decision,
        "verdict_reason": why,
        "evaluation": {
            "axis": result.axis,
            "n_pairs": len(result.measurement.segnet_pairs),
            "segnet": result.measurement.segnet,
            "posenet": result.measurement.posenet,
            "archive_bytes": result.archive_bytes,
            "source_bytes": contract.source.bytes,
            "encode_s": round(encode_s, 3),
            "inflate_s": round(result.inflation.elapsed_s, 3),
            "evaluate_s": round(result.evaluate_s, 3),
        },
        "score": {
            "segnet_term": result.score.segnet_term,
            "posenet_term": result.score.posenet_term,
            "rate_term": result.score.rate_term,
            "total": result.score.total,
        },
        "rates": {
            "as_scored_bytes": result.archive_bytes,
            "rule_faithful_bytes": result.archive_bytes + result.runtime_bytes,
        },
        "custody": _custody(contract, result, commit, dirty),
        "supersedes": None,
        "notes": [],
    }


def _custody(contract: Contract, result: Evaluated, commit: str, dirty: bool) -> dict[str, Any]:
    return {
        "archive_sha256": result.archive_sha256,
        "runtime_sha256": result.runtime_sha256,
        "runtime_bytes": result.runtime_bytes,
        "raw_sha256": result.inflation.raw_sha256,
        "raw_bytes": result.inflation.raw_bytes,
        "evaluator_sha256": measure.digest(),
        "networks": {name: network.sha256 for name, network in sorted(contract.networks.items())},
        "source_sha256": contract.source.sha256,
        "commit": commit,
        "dirty": dirty,
        "device": result.axis,
        "decoder": "pyav, BT.601 limited range, bilinear chroma",
        "versions": custody.versions(),
        "machine": custody.machine(),
        "walls": list(result.inflation.walls),
        "exact_arithmetic": True,
    }


def evaluationplain_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """What evaluation.json holds: components, terms, rates and custody of a record."""
    keys = ("contract", "contract_sha256", "evaluation", "score", "rates", "custody")
    return {"schema": "lab.evaluation/1", **{key: record[key] for key in keys}}


def decide_grade(record: dict[str, Any], contract: Contract) -> None:
    """Set the grade that the facts allow, and its reasons."""
    measured, kept = record["evaluation"], record["custody"]
    score = contract.score(
        segnet=measured["segnet"], posenet=measured["posenet"], archive_bytes=measured["archive_bytes"]
    )
    text = report_text(record, contract)
    facts = evidence.Facts(
        verdict=record["verdict"],
        axis=measured["axis"],
        n_pairs=measured["n_pairs"],
        contract_pairs=contract.n_pairs,
        contract_digest=contract.digest,
        recorded_contract_digest=record["contract_sha256"],
        archive_sha256=kept["archive_sha256"],
        archive_bytes=measured["archive_bytes"],
        evaluated_archive_sha256=kept["archive_sha256"],
        evaluated_archive_bytes=measured["archive_bytes"],
        recorded_total=record["score"]["total"],
        recomputed_total=score.total,
        report_total=report.read(text)["total"],
        runtime_sha256=kept["runtime_sha256"],
        evaluator_sha256=kept["evaluator_sha256"],
        networks_match=kept["networks"] == {name: item.sha256 for name, item in contract.networks.items()},
        source_match=kept["source_sha256"] == contract.source.sha256,
        raw_sha256=kept["raw_sha256"],
        exact_arithmetic=kept["exact_arithmetic"],
        clean_process="own process" in kept["walls"],
        commit=kept["commit"],
        dirty=kept["dirty"],
    )
    decided, reasons = evidence.grade(facts)
    record["grade"], record["grade_reasons"] = decided.value, list(reasons)


def report_text(record: Mapping[str, Any], contract: Contract) -> str:
    """report.txt of a record."""
    measured = record["evaluation"]
    score = contract.score(
        segnet=measured["segnet"], posenet=measured["posenet"], archive_bytes=measured["archive_bytes"]
    )
    return report.write(
        contract,
        score,
        segnet=measured["segnet"],
        posenet=measured["posenet"],
        archive_bytes=measured["archive_bytes"],
        axis=measured["axis"],
        archive_sha256=record["custody"]["archive_sha256"],
    )


def write_evidence(folder: Path, record: Mapping[str, Any], contract: Contract, result: Evaluated) -> None:
    """Write report.txt, evaluation.json and pairs.csv into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "report.txt", report_text(record, contract).encode())
    write_atomic(folder / "evaluation.json", plain_json(evaluationplain_json(record)).encode())
    write_atomic(folder / "pairs.csv", result.measurement.as_csv().encode())


def plain_json(data: Mapping[str, Any]) -> str:
    """Sorted, indented JSON with a final newline."""
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
