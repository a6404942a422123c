"""The verbs on runs: encode a recipe, evaluate a packet, record a run, repeat one.

The one place where bench and book meet. Every byte and every distortion that is recorded comes from the packet's own
decoder, run in a clean process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lab import archive, codecs, custody, packet, recipe, repack, replay, runtime, traces
from lab.bitstream import Section, check_tiling, sections_as_dicts
from lab.codecs.base import SourceClip, silent
from lab.contract import SHIPPED, Contract
from lab.errors import LedgerError, RecipeError
from lab.evaluator import measure, official
from lab.ledger import Ledger, Run, current, outdated, plain
from lab.recipe import Recipe
from lab.record import Evaluated, assemble, evidence_texts
from lab.video import raw as raw_frames
from lab.video import webclip

Monitor = Callable[[str, int, int], None]
CLIP_PAIRS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where things lie while experimenting.

    `cache` may be deleted at any time; `work` holds the checkpoints of long runs; `root` is the checkout.
    """

    ledgers: Path
    cache: Path
    work: Path
    root: Path

    def source(self, contract: Contract, work: Path) -> SourceClip:
        """What an encoder may look at."""
        return SourceClip(contract=contract, cache=self.cache, work=work)

    def folder(self, contract: Contract, asked: Recipe) -> Path:
        """Where checkpoints and logs of a recipe lie, under the contract in the state that it is in."""
        return self.work / f"{contract.name}-{contract.digest[:12]}" / f"{asked.slug}-{asked.digest[:12]}"

    def hidden(self, contract: Contract) -> tuple[Path, ...]:
        """What an inflating process must not see."""
        return (contract.root, SHIPPED, self.ledgers, self.cache, self.work)


def encode(asked: Recipe, contract: Contract, bench: Bench, target: Path, monitor: Monitor = silent) -> Path:
    """Encode a source under a recipe and write its packet, without evidence, to a new folder.

    Raises:
        RecipeError, ContractError, PacketError: what was asked for cannot be done; nothing is left behind.
    """
    codec = codecs.get(asked.family)
    custody.expect_file(contract.source_path, contract.source.sha256, f"source of contract {contract.name!r}")
    if asked.repacked is None:
        codec.check(asked)
        work = bench.folder(contract, asked)
        work.mkdir(parents=True, exist_ok=True)
        clip = bench.source(contract, work)
        if asked.params.get("start"):
            clip = replace(clip, start=repack.started(asked, contract, Ledger(bench.ledgers)))
        payload = codec.encode(clip, asked, monitor).payload
    else:
        payload = repack.made(asked, contract, Ledger(bench.ledgers)).payload
    decoder = runtime.of_closure(asked.family, codec.runtime_files(), codec.spec.requirements)
    built = packet.build(target, payload, decoder, title=f"{asked.name} on {contract.name}")
    anatomy = archive_anatomy(target / "archive.zip")
    (target / "anatomy.json").write_text(plain(anatomy), encoding="utf-8")
    (target / "recipe.toml").write_text(asked.text, encoding="utf-8")
    custody.seal(target)
    return built


def archive_anatomy(path: Path) -> dict[str, Any]:
    """Sections of an archive to the byte, as anatomy.json holds them."""
    data = path.read_bytes()
    return {
        "schema": "lab.anatomy/1",
        "archive": {"n_bytes": len(data), "sha256": custody.sha256_bytes(data)},
        "sections": sections_as_dicts(archive_sections(data, path.name)),
    }


def archive_sections(data: bytes, where: str) -> tuple[Section, ...]:
    """Sections of an archive that tile it; the payload's own where it is one of ours."""
    inside = {}
    for member in archive.parse(data, where):
        if member.content[:1] == b"\xa7":
            inside[member.name] = codecs.by_payload(member.content).anatomy(member.content).sections
    sections = archive.anatomy(data, where, inside)
    check_tiling(sections, 0, len(data), where)
    return sections


def evaluate(
    folder: Path, contract: Contract, bench: Bench, *, axis: str = "cpu", work: Path, monitor: Monitor = silent
) -> Evaluated:
    """Inflate a packet in a clean process and measure what came out.

    Args:
        work: an empty folder; the raw frames stay there for the caller.

    Raises:
        ReplayError, EvaluationError, PacketError: no score can be given.
    """
    evaluator = measure.Evaluator(contract, axis=axis, cache=bench.cache)
    evaluator.reference(monitor)
    monitor("inflating in a clean process", 0, 1)
    shown, hidden = official.surroundings(folder)
    inflation = replay.inflate(
        folder,
        work,
        raw_bytes=contract.raw_bytes,
        hidden=(*bench.hidden(contract), *hidden),
        shown=shown,
        time_limit_s=contract.time_limit_s,
    )
    monitor("inflating in a clean process", 1, 1)
    started = time.monotonic()
    measurement = evaluator.measure(inflation.raw, monitor)
    elapsed = time.monotonic() - started
    archive_bytes = (folder / "archive.zip").stat().st_size
    return Evaluated(
        measurement=measurement,
        score=contract.score(segnet=measurement.segnet, posenet=measurement.posenet, archive_bytes=archive_bytes),
        inflation=inflation,
        archive_bytes=archive_bytes,
        archive_sha256=custody.sha256_file(folder / "archive.zip"),
        runtime=runtime.of_submission(folder),
        evaluate_s=elapsed,
        axis=official.claimed_axis(axis),
    )


def run(
    asked: Recipe,
    contract: Contract,
    bench: Bench,
    *,
    axis: str = "cpu",
    once: bool = False,
    supersedes: str | None = None,
    monitor: Monitor = silent,
) -> tuple[Run, bool]:
    """Encode, inflate in a clean process, measure, grade and record.

    Args:
        once: give back the run of this very recipe where the ledger has one already.
        supersedes: the record that this run replaces; without one, the recipe's record of an earlier state of the
            contract, where there is one.

    Returns:
        (the run, whether it is new).

    Raises:
        RecipeError: the parent has no run under this contract yet.
        LedgerError: no record of the id to supersede.
        DuplicateRun: these bytes are on record under this recipe's name.
        EvaluationError: this machine lacks what the axis needs; nothing was encoded.
    """
    official.check(contract, axis)
    ledger = Ledger(bench.ledgers)
    claimed = official.claimed_axis(axis)
    if once and (known := ledger.find(contract, recipe_sha256=asked.digest, runtime_sha256=None, axis=claimed)):
        return known, False
    parent = parent_run(asked, contract, ledger, claimed)
    replaced = ledger.get(contract, supersedes).id if supersedes else _outdated(asked, contract, ledger, claimed)
    commit, dirty = custody.commit(bench.root)
    with replay.scratch() as folder:
        work = Path(folder)
        started = time.monotonic()
        built = encode(asked, contract, bench, work / "packet", monitor)
        encode_s = time.monotonic() - started
        result = evaluate(built, contract, bench, axis=axis, work=work / "replay", monitor=monitor)
        draft = assemble(
            asked, contract, result, parent, encode_s=encode_s, commit=commit, dirty=dirty, supersedes=replaced
        )
        left = traces.gather(bench.folder(contract, asked))
        return _enter(built, draft, contract, result, left, ledger, monitor), True


def rerun(identifier: str, contract: Contract, bench: Bench, monitor: Monitor = silent) -> dict[str, Any]:
    """Repeat a recorded run, training included, and compare bytes and components with the record.

    Returns:
        Plain data: `same_bytes`, `same_raw`, recorded and repeated values side by side, and in `difference` the first
        byte that differs and the section around it, where the ledger keeps the archive.
    """
    ledger = Ledger(bench.ledgers)
    known = ledger.get(contract, identifier)
    kept = ledger.evidence(contract.name, known.id) / "recipe.toml"
    if not kept.is_file():
        raise LedgerError(f"run {known.id}", expected="evidence/recipe.toml", found="nothing there")
    asked = recipe.parse(kept.read_text(encoding="utf-8"), known.recipe)
    with replay.scratch() as folder:
        work = Path(folder)
        fresh = replace(bench, work=work / "checkpoints", cache=work / "cache")
        built = encode(asked, contract, fresh, work / "packet", monitor)
        result = evaluate(built, contract, bench, axis=known.axis.split()[0], work=work / "replay", monitor=monitor)
        data = (built / "archive.zip").read_bytes()
    recorded = known.data
    first = ledger.archive(contract.name, recorded["custody"]["archive_sha256"])
    differs = (
        archive.difference(first.read_bytes(), data, archive_sections(data, "archive.zip")) if first.is_file() else ""
    )
    return {
        "run": known.id,
        "same_bytes": result.archive_sha256 == recorded["custody"]["archive_sha256"],
        "same_raw": result.inflation.raw_sha256 == recorded["custody"]["raw_sha256"],
        "same_runtime": result.runtime_sha256 == recorded["custody"]["runtime_sha256"],
        "archive_bytes": [known.archive_bytes, result.archive_bytes],
        "segnet": [recorded["evaluation"]["segnet"], result.measurement.segnet],
        "posenet": [recorded["evaluation"]["posenet"], result.measurement.posenet],
        "total": [known.total, result.score.total],
        "difference": differs,
    }


def parent_run(asked: Recipe, contract: Contract, ledger: Ledger, axis: str) -> Run | None:
    """The newest run of the recipe that this one departs from.

    Raises:
        RecipeError: it has not been run under this contract and axis.
    """
    if asked.parent is None:
        return None
    if asked.repacked is not None:
        return repack.parent_run(asked, contract, ledger, axis)
    named = [run for run in current(ledger.runs(contract)) if run.recipe == asked.parent and run.axis == axis]
    same = [run for run in named if run.data["contract_sha256"] == contract.digest]
    if not same:
        raise RecipeError(
            f"recipe {asked.name!r}",
            expected=f"a run of its parent {asked.parent!r} under {contract.name} on {axis}",
            found="one of an earlier state of the contract" if named else "none",
            fix=f"`lab run {asked.parent} --contract {contract.name}` first",
        )
    return same[-1]


def _outdated(asked: Recipe, contract: Contract, ledger: Ledger, axis: str) -> str | None:
    """Id of the current record of this recipe that an earlier state of the contract left behind."""
    left = [run for run in outdated(ledger.runs(contract), contract) if (run.recipe, run.axis) == (asked.name, axis)]
    return left[-1].id if left else None


def _enter(
    built: Path,
    draft: dict[str, Any],
    contract: Contract,
    result: Evaluated,
    left: dict[str, bytes],
    ledger: Ledger,
    monitor: Monitor,
) -> Run:
    """Hand everything that a run left to the ledger, which grades it and keeps it."""
    texts = left | evidence_texts(draft, contract, result)
    texts |= {name: (built / name).read_bytes() for name in ("anatomy.json", "recipe.toml")}
    clip = None
    if draft["verdict"] == "promoted":
        monitor("comparison clip", 0, 1)
        pairs = raw_frames.read_pairs(result.inflation.raw, n_pairs=contract.n_pairs, size=contract.frame_size)
        shown = (frame for pair in islice(pairs, CLIP_PAIRS) for frame in pair)
        path = built.parent / "clip.mp4"
        webclip.write(path, shown, contract.source.rate)
        clip = path.read_bytes()
        monitor("comparison clip", 1, 1)
    charged = (built / "archive.zip").read_bytes()
    return ledger.enter(draft, contract, texts, archive_data=charged, tree=result.runtime, clip=clip)
