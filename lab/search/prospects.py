"""Prospects: every candidate of a search with all that is known of it before it is run, ranked and gated.

A search lives in one lane, a class of recipes whose results share a curve:

    standard encoders   family, encoder and grid; candidates depart from the lane's best run by one step
    trained families    family and number of training steps, since a budget decides more than a parameter; the same
    repacks             family, stream and the run that is packed anew; candidates are what is left to try of it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab import codecs, negative, recipe, repack
from lab.codecs import repacks
from lab.contract import Contract
from lab.errors import RecipeError, SearchError
from lab.experiment import Bench
from lab.ledger import Ledger, Run, current
from lab.recipe import Recipe
from lab.search import gates
from lab.search.anchors import Anchor, checked, of_record
from lab.search.generate import mutations, n_steps, neighbourhood, repack_of
from lab.search.predict import Lane
from lab.search.probe import PAIRS, Probe, probe
from lab.search.rank import Candidate, Limits, MetaLagrangianSearch, Ranked

MEASURING_S = 14.0
"""Machine time of a run beside its encoding: inflating in a clean process, and both networks."""
Monitor = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a search is asked to do. `root` is the recipe that it starts from; costs are seconds of machine time.

    `mutations` candidates take two steps at once; `novelty` is why candidates in dead configurations may be run after
    all; every use is kept beside the lanes.
    """

    name: str
    root: Recipe
    max_cycles: int = 4
    per_cycle: int = 8
    max_total_cost_s: float = 3_600.0
    max_cost_per_cycle_s: float = 1_200.0
    convergence_eps: float = 0.0005
    workers: int = 2
    mutations: int = 0
    novelty: str | None = None
    probe_pairs: int = PAIRS
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What is known of a candidate before it is run: its recipe, its probe, and what the negative cache says."""

    recipe: Recipe
    probe: Probe
    answer: negative.Answer


def lane_of(asked: Recipe) -> str:
    """The lane of a recipe."""
    if asked.repacked is not None:
        name, run = asked.repacked
        return f"{asked.family}/{repacks.stream_of(name)} of {run}"
    parts = [str(asked.params[key]) for key in ("encoder", "grid") if key in asked.params]
    steps = n_steps(asked)
    return "/".join([asked.family, *parts, *([f"{steps} steps"] if steps else [])])


def best(asked: Asked, contract: Contract, ledgers: Path) -> Run:
    """The best ranked current run of the root's lane; of a repack's lane, the run that is packed anew is one.

    Raises:
        SearchError: nothing of the lane was measured.
    """
    store = Ledger(ledgers)
    found = _in_lane(asked, contract, store)
    if asked.root.repacked is not None:
        found.append(store.get(contract, asked.root.repacked[1]))
    if not found:
        raise SearchError(
            f"search {asked.name!r}", expected=f"a measured run of lane {lane_of(asked.root)}", found="none",
            fix=f"`lab run {asked.root.name} --contract {contract.name}` first",
        )  # fmt: skip
    return min(found, key=lambda run: (run.total, run.id))


def ranked(
    asked: Asked, contract: Contract, bench: Bench, monitor: Monitor
) -> tuple[Run, list[Ranked], dict[str, Prospect]]:
    """(the lane's best run; every candidate that has not been run, ranked on the lane's anchors; prospects by name).

    Raises:
        SearchError: nothing of the lane was measured.
    """
    store = Ledger(bench.ledgers)
    lead = best(asked, contract, bench.ledgers)
    runs = _in_lane(asked, contract, store)
    looks = {}
    for done, run in enumerate(runs, 1):
        looks[run.id] = probe(recorded(run, store), contract, bench, asked.probe_pairs)
        monitor("probes of anchors", done, len(runs))
    name = lane_of(asked.root)
    anchors = [_floor(asked, contract, store)]
    anchors += [checked(of_record(run.data, name, looks[run.id].error), contract) for run in runs]
    search = MetaLagrangianSearch(anchors=tuple(anchors), contract=contract, limits=asked.limits)
    own = search.lanes()[name]
    known = {str(run.data["recipe"]["sha256"]) for run in runs}
    near = [found for found in _candidates(asked, lead, contract, store) if found.digest not in known]
    lanes = negative.load(bench.ledgers)
    prospects: dict[str, Prospect] = {}
    candidates = []
    for done, found in enumerate(near, 1):
        seen = probe(found, contract, bench, asked.probe_pairs)
        answer = negative.check(lanes, contract.name, found.family, found.params, asked.novelty)
        prospects[found.name] = Prospect(recipe=found, probe=seen, answer=answer)
        measured = lead.data["evaluation"]
        candidate = Candidate(
            name=found.name,
            lane=lane_of(found),
            rel_err=seen.error,
            archive_bytes=_bytes(asked, lead, looks, seen, contract, store),
            cost_s=seen.seconds / seen.share + max(MEASURING_S, measured["inflate_s"] + measured["evaluate_s"]),
        )
        passed = _gate(candidate, own if candidate.lane == name else None, contract)
        candidates.append(replace(candidate, gate_passed=passed and answer.code != negative.REFUSED))
        monitor("probes of candidates", done, len(near))
    rows = search.rank(candidates)
    # a parked lane orders candidates and refuses none
    return lead, sorted(rows, key=lambda row: (not row.eligible, _parked(prospects, row))), prospects


def recorded(run: Run, store: Ledger) -> Recipe:
    """The recipe of a run, as its evidence keeps it."""
    text = (store.evidence(run.contract, run.id) / "recipe.toml").read_text(encoding="utf-8")
    return recipe.parse(text, run.recipe)


def _in_lane(asked: Asked, contract: Contract, store: Ledger) -> list[Run]:
    lane = lane_of(asked.root)
    ranks = ("A++", "A", "A-negative")
    runs = [run for run in current(store.runs(contract)) if run.grade in ranks and run.axis == "cpu"]
    return [run for run in runs if run.family == asked.root.family and lane_of(recorded(run, store)) == lane]


def _candidates(asked: Asked, lead: Run, contract: Contract, store: Ledger) -> list[Recipe]:
    """Recipes that the search may try next, each once, and only those that their family understands."""
    if asked.root.repacked is not None:
        base = store.get(contract, asked.root.repacked[1])
        stream = repacks.stream_of(asked.root.repacked[0])
        names = repacks.names(repack.kept_payload(base, store), base.family)
        return [repack_of(base, name) for name in names if repacks.stream_of(name) == stream]
    base_recipe = recorded(lead, store)
    found: dict[str, Recipe] = {}
    for near in (*neighbourhood(base_recipe, asked.root), *mutations(base_recipe, asked.root, asked.mutations)):
        try:
            codecs.get(near.family).check(near)
        except RecipeError:
            continue
        found.setdefault(near.digest, near)
    return list(found.values())


def _bytes(asked: Asked, lead: Run, looks: Mapping[str, Probe], seen: Probe, contract: Contract, store: Ledger) -> int:
    """The archive's estimated size, from the best run's: in the ratio of what standard encoders made of the probes'

    pairs, else by their difference, since most of what a trained family sends does not grow with the clip.
    """
    if asked.root.repacked is not None:
        base = store.get(contract, asked.root.repacked[1])
        return base.archive_bytes - len(repack.kept_payload(base, store)) + seen.n_bytes
    before = looks[lead.id].n_bytes
    if n_steps(asked.root) is None:
        return round(lead.archive_bytes * seen.n_bytes / before)
    return max(1, lead.archive_bytes + seen.n_bytes - before)


def _gate(candidate: Candidate, lane: Lane | None, contract: Contract) -> bool:
    prediction = lane.band(candidate.rel_err, candidate.archive_bytes) if lane else None
    question = gates.Question(
        candidate=candidate,
        lane=lane,
        prediction=prediction,
        commands=(f"lab run {candidate.name} --contract {contract.name}",),
        families=tuple(codecs.FAMILIES),
    )
    return gates.verdict(gates.ask(question)) == gates.PASSED


def _parked(known: Mapping[str, Prospect], row: Ranked) -> bool:
    return any(lane.state == "parked" for lane in known[row.candidate.name].answer.lanes)


def _floor(asked: Asked, contract: Contract, store: Ledger) -> Anchor:
    """The anchor without loss: the run that is packed anew, or the source against itself, with all its bytes."""
    lane = lane_of(asked.root)
    if asked.root.repacked is not None:
        return checked(of_record(store.get(contract, asked.root.repacked[1]).data, lane, 0.0), contract)
    n_bytes = contract.source.bytes
    return Anchor(
        lane=lane,
        label="source",
        rel_err=0.0,
        archive_bytes=n_bytes,
        score=contract.score(segnet=0.0, posenet=0.0, archive_bytes=n_bytes).total,
        segnet=0.0,
        posenet=0.0,
        source="derivation: a source measured against itself has no distortion",
    )
