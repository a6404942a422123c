"""Does a packet keep the rules? Every rule by name, passed or failed, without running anything.

The checks read a folder as a judge would find it; they trust no figure that they can recompute. A check that cannot
be made counts as failed. `--contest-final` adds what only a final submission must have; `--strict` lets warnings fail.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import archive, custody, facts, relocation, report, runtime, schema
from lab.contract import Contract
from lab.errors import LabError
from lab.evidence import RECOMPUTE_TOLERANCE

REQUIRED = ("archive.zip", "inflate.sh")
EVIDENCE = ("report.txt", "evaluation.json", "anatomy.json", "recipe.toml", "pairs.csv")
FINAL = ("compliance.json", "release_manifest.json", "ro-crate-metadata.json", "CITATION.cff", "README.md")
KNOWN = {
    *REQUIRED,
    *EVIDENCE,
    *FINAL,
    custody.MANIFEST,
    "requirements.txt",
    "record.json",
    "contract.toml",
    "replay.json",
}
TEXT_LIMIT_BYTES = 16 << 20
EMPTY_ZIP_BYTES = 22
# Where somebody works, and what opens a door: neither belongs into a packet.
_PRIVATE = re.compile(
    r"(?<![\w.])/(?:home|Users|root|work|mnt|media)/[\w.-]+|[A-Za-z]:\\\\Users\\|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(?:ghp|gho|github_pat|glpat|xox[abp]|sk|hf)_[A-Za-z0-9_]{20,}|\bAKIA[0-9A-Z]{16}\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule, whether it holds, and what was seen."""

    rule: str
    passed: bool
    what: str
    severity: str = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """All checks of one packet."""

    packet: str
    mode: str | None
    checks: tuple[Check, ...]

    def failed(self, *, strict: bool = False) -> tuple[Check, ...]:
        """The checks that keep a packet from passing; warnings count under `strict` only."""
        return tuple(check for check in self.checks if not check.passed and (strict or check.severity == "error"))

    def as_dict(self, *, strict: bool = False) -> dict[str, Any]:
        """Plain data for compliance.json; the folder's name stays out of it."""
        return {
            "schema": "lab.compliance/1",
            "passed": not self.failed(strict=strict),
            "strict": strict,
            "mode": self.mode,
            "checks": [
                {"rule": item.rule, "passed": item.passed, "severity": item.severity, "what": item.what}
                for item in self.checks
            ],
        }


def check(
    folder: Path,
    contract: Contract | None = None,
    *,
    sha256: str | None = None,
    n_bytes: int | None = None,
    contest_final: bool = False,
) -> Compliance:
    """Every rule on one packet.

    Args:
        contract: what the packet was measured under; without it the formula and the sample count cannot be checked.
        sha256, n_bytes: what the archive must be, where the caller knows it.
        contest_final: also demand what a final submission must have.
    """
    found: list[Check] = []
    try:
        tree = custody.tree(folder)
    except (LabError, OSError) as error:
        return Compliance(
            packet=folder.name, mode=None, checks=(Check(rule="files.tree", passed=False, what=str(error)),)
        )
    found += _files(folder, tree, contest_final)
    found += _zip(tree, sha256, n_bytes)
    files, reading = _reading(tree)
    found += _charge(files, reading)
    found += _requirements(tree)
    found += _evidence(tree, contract, contest_final)
    found += _public(tree)
    if contest_final:
        found += _final(tree, contract, sha256, n_bytes)
    return Compliance(packet=folder.name, mode=reading.mode, checks=tuple(found))


def _files(folder: Path, tree: Mapping[str, Path], contest_final: bool) -> Iterator[Check]:
    for name in (*REQUIRED, *((*EVIDENCE, *FINAL) if contest_final else ())):
        yield Check(rule="files.required", passed=name in tree, what=name)
    if "inflate.sh" in tree:
        mode = tree["inflate.sh"].stat().st_mode
        yield Check(rule="files.executable", passed=bool(mode & stat.S_IXUSR), what=f"inflate.sh {stat.filemode(mode)}")
    ours = any(name.startswith(f"{runtime.FOLDER}/") for name in tree)
    odd = [name for name in tree if ours and name not in KNOWN and not name.startswith(f"{runtime.FOLDER}/")]
    odd += [name for name in tree if name.endswith(".pyc") or "__pycache__" in name.split("/")]
    yield Check(rule="files.unexpected", passed=not odd, what=", ".join(odd)[:200] or "nothing else in the packet")
    if custody.MANIFEST in tree or contest_final:
        try:
            yield Check(rule="files.manifest", passed=True, what=f"{custody.check_seal(folder)} files agree")
        except (LabError, OSError) as error:
            yield Check(rule="files.manifest", passed=False, what=str(error)[:300])


def _zip(tree: Mapping[str, Path], sha256: str | None, n_bytes: int | None) -> Iterator[Check]:
    path = tree.get("archive.zip")
    if path is None:
        return
    size = path.stat().st_size
    yield Check(
        rule="zip.empty",
        passed=size > EMPTY_ZIP_BYTES,
        what=f"{size:,} bytes; an archive without members holds no video",
    )
    try:
        data = path.read_bytes() if size <= archive.ARCHIVE_LIMIT_BYTES else b""
        members = archive.parse(data, "archive.zip")
    except LabError as error:
        yield Check(rule="zip.safe", passed=False, what=str(error)[:300])
        return
    yield Check(rule="zip.safe", passed=True, what=f"{len(members)} members, headers agree, names are safe")
    yield Check(
        rule="zip.single-member", passed=len(members) == 1, what=f"{len(members)} members",
        severity="warning" if len(members) > 1 else "error",
    )  # fmt: skip
    gaps = [part.name for part in archive.anatomy(data, "archive.zip") if part.kind == "unaccounted bytes"]
    yield Check(rule="zip.hidden-bytes", passed=not gaps, what=f"{len(gaps)} gaps between members", severity="warning")
    found = custody.sha256_bytes(data)
    if sha256 is not None:
        yield Check(rule="digest.expected", passed=found == sha256, what=f"sha256 {found[:16]}, expected {sha256[:16]}")
    if n_bytes is not None:
        yield Check(rule="size.expected", passed=size == n_bytes, what=f"{size:,} bytes, expected {n_bytes:,}")


def _reading(tree: Mapping[str, Path]) -> tuple[dict[str, bytes], relocation.Reading]:
    """Everything that inflating may run or read beside the archive, and how it stands to the charge rule."""
    ours = {name for name in tree if name.startswith(f"{runtime.FOLDER}/")}
    papers = {"archive.zip", "report.txt", "README.md", custody.MANIFEST}
    beside = ours | {"inflate.sh"} if ours else set(tree) - papers
    files = {name: tree[name].read_bytes() for name in sorted(beside & set(tree))}
    declared = None
    if "compliance.json" in tree:
        declared = _json(tree["compliance.json"]).get("mode")
    try:
        members = (
            {item.name: item.content for item in archive.read(tree["archive.zip"])} if "archive.zip" in tree else {}
        )
    except LabError:
        members = {}  # stated by `zip.safe`
    return files, relocation.read(files, members, declared if isinstance(declared, str) else None)


def _charge(files: Mapping[str, bytes], reading: relocation.Reading) -> Iterator[Check]:
    by_rule: dict[str, list[str]] = {}
    for finding in reading.findings:
        by_rule.setdefault(finding.rule, []).append(f"{finding.path}:{finding.line}: {finding.what}")
    for rule in sorted({*RULES_OF_CHARGE, *by_rule}):
        seen = by_rule.get(rule, [])
        yield Check(rule=rule, passed=not seen, what="; ".join(seen[:3])[:400] or RULES_OF_CHARGE[rule])
    yield Check(
        rule="charge.total", passed=bool(files),
        what=f"{sum(map(len, files.values())):,} bytes of decoder beside the archive, {reading.dense_bytes:,} of them "
        f"constants; the rule-faithful rate charges all of it",
    )  # fmt: skip


def _requirements(tree: Mapping[str, Path]) -> Iterator[Check]:
    """Does requirements.txt name what the runtime imports, and does that go beyond what a judge's machine has?"""
    folder = f"{runtime.FOLDER}/"
    files = {name: path.read_bytes() for name, path in tree.items() if name.startswith(folder)}
    if not files:
        return
    try:
        needed = runtime.imports(files)
    except LabError as error:
        yield Check(rule="runtime.requirements", passed=False, what=str(error)[:300])
        return
    text = _text(tree["requirements.txt"]) if "requirements.txt" in tree else ""
    said = tuple(sorted(line.partition("==")[0].strip() for line in text.splitlines() if line.strip()))
    yield Check(
        rule="runtime.requirements", passed=said == needed,
        what=f"declares {', '.join(said) or 'nothing'}, imports {', '.join(needed) or 'nothing'}"[:300],
    )  # fmt: skip
    beyond = sorted(set(needed) - set(runtime.USUAL))
    usual = ", ".join(runtime.USUAL)
    what = f"asks for {', '.join(beyond)} besides {usual}" if beyond else f"asks for nothing besides {usual}"
    yield Check(rule="runtime.usual", passed=not beyond, severity="warning", what=what[:300])


RULES_OF_CHARGE = {
    "charge.blob": "no encoded data in code",
    "charge.budget": "constants and texts within their budgets",
    "charge.dynamic-code": "no code made at run time",
    "charge.literal": f"no literal over {relocation.LITERAL_LIMIT_BYTES:,} bytes",
    "charge.mode": "the declared mode holds",
    "charge.network-access": "nothing is fetched",
    "charge.networks-used": "the evaluator's networks are not used",
    "charge.not-code": "every file beside the archive is code",
    "charge.numbers": f"no more than {relocation.NUMBERS_LIMIT} numbers in one place",
    "charge.outside-path": "no path outside of the archive",
    "charge.reads-itself": "code does not read its own text",
    "charge.source-read": "the source video is not read",
    "charge.unreadable": "every file can be read",
}


def _evidence(tree: Mapping[str, Path], contract: Contract | None, needed: bool) -> Iterator[Check]:
    """Does the evidence agree with the archive, with itself and with the formula?"""
    path = tree.get("evaluation.json")
    if path is None:
        severity = "error" if needed else "warning"
        yield Check(rule="evaluation.present", passed=False, what="no evaluation.json", severity=severity)
        return
    data = _json(path)
    measured, kept = _table(data, "evaluation"), _table(data, "custody")
    yield Check(rule="evaluation.present", passed=bool(measured and kept), what="evaluation.json parses")
    if "archive.zip" in tree:
        found, size = custody.sha256_file(tree["archive.zip"]), tree["archive.zip"].stat().st_size
        same = kept.get("archive_sha256") == found
        yield Check(rule="evaluation.digest", passed=same, what=f"measured the archive {found[:16]}")
        yield Check(rule="evaluation.size", passed=measured.get("archive_bytes") == size, what=f"{size:,} bytes")
        yield from _report(tree, found, size, data)
    if f"{runtime.FOLDER}/inflate.py" in tree:
        files = {name[len(runtime.FOLDER) + 1 :]: path.read_bytes() for name, path in tree.items() if "/" in name}
        entry = tree["inflate.sh"].read_bytes() if "inflate.sh" in tree else b""
        digest = runtime.Runtime(family="", files=files, requirements=(), entry=entry).sha256
        yield Check(
            rule="evaluation.runtime", passed=kept.get("runtime_sha256") == digest, what=f"runtime tree {digest[:16]}"
        )
    yield Check(
        rule="evaluation.axis", passed=measured.get("axis") in ("cpu", "cuda"), what=str(measured.get("axis"))[:40]
    )
    yield from _components(tree, contract, data)


def _report(tree: Mapping[str, Path], sha256: str, n_bytes: int, data: Mapping[str, Any]) -> Iterator[Check]:
    if "report.txt" not in tree:
        yield Check(rule="report.present", passed=False, what="no report.txt")
        return
    try:
        text = _text(tree["report.txt"])
        figures = report.read(text)
    except (LabError, OSError) as error:
        yield Check(rule="report.present", passed=False, what=str(error)[:200])
        return
    yield Check(rule="report.digest", passed=report.digest(text) == sha256, what="names the archive's sha256")
    yield Check(rule="report.size", passed=figures["archive_bytes"] == n_bytes, what="names the archive's size")
    measured, total = _table(data, "evaluation"), _table(data, "score").get("total")
    for name in ("segnet", "posenet"):
        same = _near(figures[name], measured.get(name), RECOMPUTE_TOLERANCE)
        yield Check(rule="report.components", passed=same, what=f"{name} {figures[name]!r}")
    tolerance = max(RECOMPUTE_TOLERANCE, report.precision(text))
    yield Check(
        rule="report.total", passed=_near(figures["total"], total, tolerance), what=f"total {figures['total']!r}"
    )
    samples = figures["n_pairs"] == measured.get("n_pairs")
    yield Check(rule="report.samples", passed=samples, what=f"{figures['n_pairs']:.0f} samples")


def _components(tree: Mapping[str, Path], contract: Contract | None, data: Mapping[str, Any]) -> Iterator[Check]:
    measured, terms = _table(data, "evaluation"), _table(data, "score")
    if contract is None:
        yield Check(rule="evaluation.contract", passed=False, what="no contract to check against: name its --contract")
        return
    named, then = data.get("contract") == contract.name, str(data.get("contract_sha256"))
    state = f"contract {contract.name} in the state {contract.digest[:16]}"
    if named and then != contract.digest:  # not a lie: a contract may have moved on since
        state += f"; the packet was measured under another one, {then[:16]}, and has to be judged under that"
    yield Check(rule="evaluation.contract", passed=named and then == contract.digest, what=state)
    samples = measured.get("n_pairs")
    yield Check(
        rule="evaluation.samples", passed=samples == contract.n_pairs, what=f"{samples} of {contract.n_pairs} pairs"
    )
    source = measured.get("source_bytes") == contract.source.bytes
    yield Check(rule="evaluation.source-bytes", passed=source, what=f"{contract.source.bytes:,} bytes of source")
    try:
        score = contract.score(
            segnet=measured["segnet"], posenet=measured["posenet"], archive_bytes=measured["archive_bytes"]
        )
        same = all(_near(terms.get(name), getattr(score, name), RECOMPUTE_TOLERANCE) for name in schema.SCORE)
        yield Check(rule="evaluation.total", passed=same, what=f"components give {score.total!r}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        yield Check(rule="evaluation.total", passed=False, what=f"no components: {error}"[:200])
    if "pairs.csv" not in tree:
        yield Check(rule="evaluation.pairs", passed=False, what="no pairs.csv to recompute components from")
        return
    try:
        pairs = facts.read_pairs(_text(tree["pairs.csv"]))
    except (LabError, OSError) as error:
        yield Check(rule="evaluation.pairs", passed=False, what=str(error)[:200])
        return
    same = pairs.count == samples and all(
        _near(getattr(pairs, name), measured.get(name), RECOMPUTE_TOLERANCE) for name in ("segnet", "posenet")
    )
    yield Check(rule="evaluation.pairs", passed=same, what=f"means over {pairs.count} pairs")


def _public(tree: Mapping[str, Path]) -> Iterator[Check]:
    """Nothing that tells where somebody works or opens a door."""
    hits = []
    for name, path in tree.items():
        if name != "archive.zip" and path.stat().st_size <= TEXT_LIMIT_BYTES:
            match = _PRIVATE.search(path.read_bytes().decode("latin-1"))
            if match:
                hits.append(name)
    yield Check(
        rule="scan.public",
        passed=not hits,
        what="private paths or keys in " + ", ".join(hits)[:200] if hits else "clean",
    )


def _final(
    tree: Mapping[str, Path], contract: Contract | None, sha256: str | None, n_bytes: int | None
) -> Iterator[Check]:
    given = sha256 is not None and n_bytes is not None
    yield Check(rule="final.expected", passed=given, what="digest and size of the archive are named by the caller")
    grade = _json(tree["record.json"]).get("grade") if "record.json" in tree else None
    yield Check(rule="final.grade", passed=grade in ("A++", "A"), what=f"grade {str(grade)[:20]}")
    if "release_manifest.json" in tree:
        urls = _table(_json(tree["release_manifest.json"]), "public_urls")
        open_ends = [name for name, value in urls.items() if not str(value).startswith("https://")]
        yield Check(
            rule="final.urls", passed=bool(urls) and not open_ends, severity="warning",
            what=", ".join(open_ends)[:200] + " still placeholders" if open_ends else "published",
        )  # fmt: skip


def _near(one: Any, other: Any, tolerance: float) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return numbers and abs(one - other) <= tolerance


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(path: Path) -> str:
    return path.read_bytes()[:TEXT_LIMIT_BYTES].decode("utf-8", errors="replace")


def _json(path: Path) -> dict[str, Any]:
    """A JSON table, empty where there is none that can be read."""
    try:
        data = json.loads(_text(path)) if path.stat().st_size <= TEXT_LIMIT_BYTES else {}
    except (ValueError, RecursionError, OSError):
        return {}
    return data if isinstance(data, dict) else {}
