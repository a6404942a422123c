"""The shape of a run record, stated once: the check of a record and the published JSON Schema both walk these tables.

A record stores components and bytes; its totals are recomputed here and compared. Records come from files that
anybody may have written, so strings are bounded and free of control characters, and numbers are finite.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any

from lab.contract import Contract, Score
from lab.errors import LedgerError, SchemaMismatch, ScoreMismatch
from lab.fields import HEX, INTEGER_LIMIT, KINDS, TEXT_LIMIT, Fields, Look, check

SCHEMA = "lab.run/1"
# What was measured on any other axis is advisory, and no rule can promote it.
PROMOTING_AXES = ("cpu", "cuda")
TOTAL_TOLERANCE = 1e-9
RECORD_LIMIT_BYTES = 1 << 20
DEPTH_LIMIT = 16

RECIPE: Fields = {
    "name": ("text", "family/slug"),
    "family": ("text", "codec family"),
    "sha256": ("sha256", "digest of what decides the bytes: family, parameters, stages, seed"),
    "question": ("text", "what the run asks"),
    "changed": ("text", "the one axis that differs from the parent"),
    "seed": ("integer", "seed of every random draw"),
    "params": ("table", "the family's parameters"),
}
EVALUATION: Fields = {
    "axis": ("text", "cpu, cuda, or an advisory axis"),
    "n_pairs": ("count", "pairs that were measured"),
    "segnet": ("number", "share of pixels whose class differs, mean over pairs"),
    "posenet": ("number", "mean squared error of the six scored pose outputs, mean over pairs"),
    "archive_bytes": ("count", "size of the archive as charged"),
    "source_bytes": ("count", "size of the declared source, the rate's denominator"),
    "encode_s": ("number?", "wall time of encoding, training included"),
    "inflate_s": ("number", "wall time of inflating in the clean process"),
    "evaluate_s": ("number", "wall time of the networks"),
}
SCORE: Fields = {
    "segnet_term": ("number", "weight times segnet"),
    "posenet_term": ("number", "root of weight times posenet"),
    "rate_term": ("number", "weight times archive_bytes over source_bytes"),
    "total": ("number", "sum of the three terms; lower is better"),
}
RATES: Fields = {
    "as_scored_bytes": ("count", "the archive"),
    "rule_faithful_bytes": ("count", "archive, decoder scripts and any weights that they load"),
}
CUSTODY: Fields = {
    "archive_sha256": ("sha256", "digest of archive.zip"),
    "runtime_sha256": ("sha256", "digest of the decoder closure with its entry point"),
    "runtime_bytes": ("count", "size of the decoder closure with its entry point"),
    "raw_sha256": ("sha256", "digest of the raw frames that came out"),
    "raw_bytes": ("count", "size of the raw frames"),
    "evaluator_sha256": ("sha256", "digest of the code that measured"),
    "networks": ("digests", "digest of each network's weights"),
    "source_sha256": ("sha256", "digest of the source video"),
    "commit": ("text", "commit of the checkout, or unversioned"),
    "dirty": ("flag", "did code differ from that commit?"),
    "device": ("text", "where the networks ran"),
    "decoder": ("text", "what decoded the source"),
    "versions": ("words", "exact versions of Python and packages"),
    "machine": ("words", "kind of machine"),
    "walls": ("texts", "walls that stood around the inflating process"),
    "exact_arithmetic": ("flag", "fp32 without reduced-precision modes"),
}
# Fields that a record of this schema may carry; absent ones mean that nothing was recorded.
CUSTODY_OPTIONAL: Fields = {
    "charge": ("table", "reading of the charge rule: mode, findings, constants in bytes; see lab.relocation"),
}
TOP: Fields = {
    "schema": ("text", SCHEMA),
    "id": ("id", "recipe slug and eight digits that name archive, runtime and axis together"),
    "contract": ("text", "name of the contract"),
    "contract_sha256": ("sha256", "state of the contract; scores compare only where it agrees"),
    "recorded_at": ("time", "UTC"),
    "recipe": ("table", "what was asked"),
    "parents": ("ids", "runs that this one departs from"),
    "verdict": ("verdict", "promoted: lower total than its parent"),
    "verdict_reason": ("text", "why, in one sentence"),
    "evaluation": ("table", "what was measured"),
    "score": ("table", "terms and total, as the components give them"),
    "rates": ("table", "two views of the rate"),
    "custody": ("table", "who produced what"),
    "grade": ("grade", "decided by lab.evidence.grade when recorded"),
    "grade_reasons": ("texts", "every reason for the grade"),
    "supersedes": ("id?", "the record that this one replaces"),
    "notes": ("texts", "remarks"),
}
NESTED: dict[str, tuple[Fields, Fields]] = {
    "recipe": (RECIPE, {}),
    "evaluation": (EVALUATION, {}),
    "score": (SCORE, {}),
    "rates": (RATES, {}),
    "custody": (CUSTODY, CUSTODY_OPTIONAL),
}
_LOOK, _LOOKS = Look(TOP, {}), [(key, Look(known, optional)) for key, (known, optional) in NESTED.items()]


def is_digest(value: object) -> bool:
    """Is it a SHA-256 in hexadecimal digits?"""
    return isinstance(value, str) and bool(HEX.match(value))


def text(path: str, where: str) -> str:
    """The text of a record's file, lines ending as Python ends them.

    Raises:
        LedgerError: it is not readable, or too long.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(handle).st_size
            if size > RECORD_LIMIT_BYTES:
                raise SchemaMismatch(where, expected=f"at most {RECORD_LIMIT_BYTES:,} bytes", found=f"{size:,}")
            data = os.read(handle, size + 1)
        finally:
            os.close(handle)
        if len(data) != size:
            raise ValueError("a file that changes as it is read")
        found = data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise LedgerError(
            where, expected="a JSON record", found=str(error), fix="restore it from version control"
        ) from None
    return found.replace("\r\n", "\n").replace("\r", "\n") if "\r" in found else found


def parse(text: str, where: str) -> Any:
    """JSON as a record may hold it: no key twice, no depth without end.

    Raises:
        LedgerError: it is not.
    """
    try:
        return _DECODER.decode(text) if text[:1] != "\ufeff" else json.loads(text)  # which says what is wrong with it
    except (ValueError, RecursionError) as error:
        raise LedgerError(
            where, expected="a JSON record", found=str(error)[:200], fix="restore it from version control"
        ) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = {intern(name): intern(value) if type(value) is str else value for name, value in pairs}
    if len(table) != len(pairs):
        raise ValueError("a key that stands twice")
    return table


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def validate(record: Any, contract: Contract, where: str, *, entering: bool = False) -> Score:
    """The recomputed score of a record that holds together.

    Args:
        entering: the record is about to be written, or is audited: every text must be printable and bounded, every
            number finite. Readers of records that stand already show such values inert instead.

    Raises:
        SchemaMismatch: a field is missing, unknown, of the wrong type or out of range.
        ScoreMismatch: a stored term differs from what the components give.
    """
    if not isinstance(record, Mapping):
        raise SchemaMismatch(where, expected="a JSON object", found=type(record).__name__)
    if entering:
        _sane(record, where)
    if not (_LOOK.passes(record) and all(look.passes(record[key]) for key, look in _LOOKS)):
        check(record, TOP, {}, where)
        for key, (known, optional) in NESTED.items():
            check(record[key], known, optional, f"{where}, {key}")
    if record["schema"] != SCHEMA:
        raise SchemaMismatch(where, expected=f"schema {SCHEMA}", found=repr(record["schema"])[:100])
    if record["contract"] != contract.name:
        raise SchemaMismatch(where, expected=f"contract {contract.name!r}", found=repr(record["contract"])[:60])
    axis = str(record["evaluation"]["axis"])
    if record["verdict"] == "promoted" and axis not in PROMOTING_AXES:
        raise SchemaMismatch(
            f"{where}, verdict", expected=f"no promotion on the axis {axis[:60]!r}", found="promoted",
            fix="measure on Linux x86-64: what other machines measure is advisory",
        )  # fmt: skip
    return _score(record, contract, where)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a run record (draft 2020-12)."""
    properties = _properties(TOP)
    properties["schema"] = {"const": SCHEMA}
    for key, (known, optional) in NESTED.items():
        properties[key] = {
            "type": "object",
            "description": TOP[key][1],
            "properties": _properties({**known, **optional}),
            "required": sorted(known),
            "additionalProperties": False,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"run record, {SCHEMA}",
        "type": "object",
        "properties": properties,
        "required": sorted(TOP),
        "additionalProperties": False,
    }


def _properties(fields: Fields) -> dict[str, Any]:
    return {name: {**KINDS[kind][1], "description": doc} for name, (kind, doc) in fields.items()}


def _score(record: Mapping[str, Any], contract: Contract, where: str) -> Score:
    measured = record["evaluation"]
    if record["contract_sha256"] == contract.digest and measured["source_bytes"] != contract.source.bytes:
        raise SchemaMismatch(
            f"{where}, source_bytes", expected=str(contract.source.bytes), found=str(measured["source_bytes"])
        )
    try:
        score = contract.formula.score(
            segnet=measured["segnet"],
            posenet=measured["posenet"],
            archive_bytes=measured["archive_bytes"],
            source_bytes=measured["source_bytes"],
        )
    except (ValueError, OverflowError) as error:
        raise SchemaMismatch(f"{where}, evaluation", found=str(error)) from None
    stored_terms = record["score"]
    for name in SCORE:
        stored, computed = stored_terms[name], getattr(score, name)
        if stored != computed and not math.isclose(stored, computed, rel_tol=0.0, abs_tol=TOTAL_TOLERANCE):
            raise ScoreMismatch(
                f"{where}, score.{name}",
                expected=f"{computed!r} from its components",
                found=repr(stored),
                fix="a record is never edited: restore it, or supersede it by a new run",
            )
    return score


def _sane(record: Mapping[str, Any], where: str) -> None:
    """Return only if every number is finite and every text is printable and bounded, at any depth."""
    for path, value in _walk(record, where, 0):
        if isinstance(value, float) and not math.isfinite(value):
            raise SchemaMismatch(path, expected="a finite number", found=repr(value))
        if isinstance(value, int) and abs(value) >= INTEGER_LIMIT:
            raise SchemaMismatch(path, expected="an integer of 64 bits", found="a larger one")
        if isinstance(value, str):
            odd = next((sign for sign in value if unprintable(sign)), None)
            if odd is not None:
                raise SchemaMismatch(path, expected="printable text", found=f"U+{ord(odd):04X}")
            if len(value) > TEXT_LIMIT:
                raise SchemaMismatch(path, expected=f"at most {TEXT_LIMIT:,} characters", found=f"{len(value):,}")


def unprintable(sign: str) -> bool:
    """Controls, halves of characters and marks that turn the writing direction around."""
    code = ord(sign)
    if sign in "\n\t":
        return False
    hidden = 0x200B <= code <= 0x200F or 0x202A <= code <= 0x202E or 0x2060 <= code <= 0x2069 or code == 0xFEFF
    return code < 32 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or hidden


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH_LIMIT:
        raise SchemaMismatch(path[:200], expected=f"at most {DEPTH_LIMIT} levels", found="more")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{path}, a key", key
            yield from _walk(inner, f"{path}, {str(key)[:40]}", depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, path, depth + 1)
    else:
        yield path, value
