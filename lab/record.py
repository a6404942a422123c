"""A run's record and its evidence, assembled from a measured packet. The ledger grades it when it enters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab import custody, relocation, replay, report
from lab.contract import Contract, Score
from lab.evaluator import measure, official
from lab.ledger import SCHEMA, Run, identity_of, plain, run_id
from lab.recipe import Recipe
from lab.runtime import ENTRY, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A packet measured from its own decoder: components, terms, digests, and the distortion of every pair."""

    measurement: measure.Measurement
    score: Score
    inflation: replay.Inflation
    archive_bytes: int
    archive_sha256: str
    runtime: Runtime
    evaluate_s: float
    axis: str

    @property
    def runtime_sha256(self) -> str:
        """Digest of the runtime tree that inflated it."""
        return self.runtime.sha256


def verdict(total: float, parent: Run | None, axis: str = "cpu") -> tuple[str, str]:
    """Promoted or rejected against the parent, and why in one sentence; open on an axis that is only advisory."""
    if axis.endswith(official.ADVISORY):
        return "open", f"measured on {axis}, which no rule can promote"
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
    supersedes: str | None = None,
) -> dict[str, Any]:
    """The record of a measured packet, before it is graded."""
    decision, why = verdict(result.score.total, parent, result.axis)
    record = {
        "schema": SCHEMA,
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
            "rule_faithful_bytes": result.archive_bytes + result.runtime.n_bytes,
        },
        "custody": _custody(contract, result, commit, dirty),
        "supersedes": supersedes,
        "notes": [],
    }
    return {**record, "id": run_id(asked.slug, identity_of(record))}


def _custody(contract: Contract, result: Evaluated, commit: str, dirty: bool) -> dict[str, Any]:
    reading = relocation.read({**result.runtime.files, ENTRY: result.runtime.entry})
    broken = {"charge": {"mode": reading.mode, "findings": [str(item) for item in reading.findings]}}
    return {
        **(broken if reading.findings else {}),
        "archive_sha256": result.archive_sha256,
        "runtime_sha256": result.runtime_sha256,
        "runtime_bytes": result.runtime.n_bytes,
        "raw_sha256": result.inflation.raw_sha256,
        "raw_bytes": result.inflation.raw_bytes,
        "evaluator_sha256": measure.digest(),
        "networks": {name: network.sha256 for name, network in sorted(contract.networks.items())},
        "source_sha256": contract.source.sha256,
        "commit": commit,
        "dirty": dirty,
        "device": official.device(result.axis),
        "decoder": official.decoder(contract, result.axis),
        "versions": custody.versions(),
        "machine": custody.machine(),
        "walls": list(result.inflation.walls),
        "exact_arithmetic": True,
    }


def evaluation_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """What evaluation.json holds: components, terms, rates and custody of a record."""
    keys = ("contract", "contract_sha256", "evaluation", "score", "rates", "custody")
    return {"schema": "lab.evaluation/1", **{key: record[key] for key in keys}}


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


def evidence_texts(record: Mapping[str, Any], contract: Contract, result: Evaluated) -> dict[str, bytes]:
    """report.txt, evaluation.json and pairs.csv of a measured packet."""
    return {
        "report.txt": report_text(record, contract).encode(),
        "evaluation.json": plain(evaluation_json(record)).encode(),
        "pairs.csv": result.measurement.as_csv().encode(),
    }
