"""Preflight: on a sound subject every check passes; for every check there is a way to make it refuse."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import toy_contract

from lab import archive, cli, codecs, custody, preflight, recipe
from lab.bitstream import Bitstream, Section
from lab.contract import Formula, Score, load
from lab.errors import BitstreamError
from lab.evaluator import measure, preprocess
from lab.ledger import Run
from lab.preflight import Subject

ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
family = "conventional"
question = "is everything sound?"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = 20
preset = "8"
gop = 6
"""
Spoil = Callable[[Subject, pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """A run to come, on six frames, with nothing wrong, looked at once."""
    house = tmp_path_factory.mktemp("house")
    contract = toy_contract(house / "ledgers")
    subject = Subject(
        recipe=recipe.parse(TEXT, "conventional/toy"),
        contract=contract,
        ledgers=house / "ledgers",
        cache=house / "cache",
        work=house / "work",
        root=ROOT,
    )
    subject.work.mkdir()
    yield subject
    shutil.rmtree(subject.kept.get("trial folder", house / "work"), ignore_errors=True)


@pytest.fixture
def subject(sound: Subject, tmp_path: Path) -> Subject:
    """The same on a ledger of its own, to be spoiled: what was observed is kept, so that nothing is observed twice."""
    for name in ("machine", "video", "pairs", "networks", "runs", "tree", "trial"):
        getattr(sound, name)
    ledgers = Path(shutil.copytree(sound.ledgers, tmp_path / "ledgers"))
    return replace(
        sound,
        contract=load("toy", ledgers),
        ledgers=ledgers,
        cache=tmp_path / "cache",
        work=tmp_path / "work",
        kept={key: value for key, value in sound.kept.items() if key not in ("answers", "audit")},
    )


def machine(**changes: Any) -> Spoil:
    """Another machine."""
    return lambda subject, _: subject.kept.update(machine=replace(subject.machine, **changes))


def contract(**changes: Any) -> Spoil:
    """Another contract."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        subject.contract = replace(subject.contract, **changes)

    return spoil


def source(**changes: Any) -> Spoil:
    """Another source."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        subject.contract = replace(subject.contract, source=replace(subject.contract.source, **changes))

    return spoil


def network(name: str) -> Spoil:
    """Other weights."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        other = {**subject.contract.networks, name: replace(subject.contract.networks[name], sha256="0" * 64)}
        subject.contract = replace(subject.contract, networks=other)

    return spoil


def asked(**changes: Any) -> Spoil:
    """Another recipe."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        subject.recipe = replace(subject.recipe, **changes)

    return spoil


def observed(**changes: Any) -> Spoil:
    """Another observation."""
    return lambda subject, _: subject.kept.update(changes)


def folder(name: str) -> Spoil:
    """A folder that cannot be one, because its parent is a file."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        setattr(subject, name, subject.contract.source_path / "below")

    return spoil


def call(target: Any, name: str, error: Exception) -> Spoil:
    """A function of the system that fails."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    return lambda _, monkeypatch: monkeypatch.setattr(target, name, fail)


class Unsure(torch.nn.Module):
    """A network that was left in a training mode of its own: it answers by chance."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + torch.rand(())


class Deaf(torch.nn.Module):
    """A network whose input runs through no gradient: the public trap."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.inner(x)


class Same(torch.nn.Module):
    """A network that always says the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 12)


def networks(change: Callable[[torch.nn.Module, torch.nn.Module], tuple[Any, Any]]) -> Spoil:
    """Other networks."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        from lab.evaluator import networks as loader

        subject.kept["networks"] = change(*loader.load(subject.contract))

    return spoil


def weights(change: Callable[[torch.nn.Parameter], Any]) -> Spoil:
    """Other weights in the same networks."""

    def touch(segnet: torch.nn.Module, posenet: torch.nn.Module) -> tuple[Any, Any]:
        change(next(iter(posenet.parameters())))
        return segnet, posenet

    return networks(touch)


def a_run(**changes: Any) -> Run:
    """A record with what the checks look at."""
    data = {
        "id": "old-00000000",
        "contract": "toy",
        "contract_sha256": "0" * 64,
        "recorded_at": "2026-01-01T00:00:00Z",
        "verdict": "promoted",
        "recipe": {"name": "conventional/parent", "sha256": "0" * 64, "family": "conventional"},
        "evaluation": {"axis": "cpu", "archive_bytes": 1_000},
        "parents": [],
        "grade": "A",
        "custody": {"runtime_sha256": "0" * 64, "archive_sha256": "0" * 64},
        **changes,
    }
    return Run(data=data, score=Score(segnet_term=0.0, posenet_term=0.0, rate_term=0.0))


def child_of_itself(subject: Subject, _: pytest.MonkeyPatch) -> None:
    subject.recipe = replace(subject.recipe, parent=subject.recipe.name, changed="x")


def child_like_its_parent(subject: Subject, _: pytest.MonkeyPatch) -> None:
    subject.recipe = replace(subject.recipe, parent="conventional/parent", changed="nothing")
    same = {"name": "conventional/parent", "sha256": subject.recipe.digest, "family": "conventional"}
    subject.kept["runs"] = [a_run(recipe=same)]


def answered(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    known = a_run(custody={"runtime_sha256": subject.tree.sha256})
    monkeypatch.setattr("lab.ledger.Ledger.find", lambda *_, **__: known)


def a_trial_that_cannot_be(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.preflight.question.trial_recipe", lambda asked: replace(asked, params={}))


def stale_answers(subject: Subject, _: pytest.MonkeyPatch) -> None:
    evaluator = measure.Evaluator(subject.contract, axis="cpu", cache=subject.cache)
    kept = evaluator.reference(lambda *_: None)
    path = subject.cache / "answers" / f"{evaluator._answers_key()}.npz"
    np.savez_compressed(path, classes=kept.classes, pose=kept.pose + 1.0)


def wrong_resize(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    right = preprocess.segnet_input
    monkeypatch.setattr(preprocess, "segnet_input", lambda seen, size: right(seen, size) * 1.001)


def blind(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    right = preprocess.segnet_input
    monkeypatch.setattr(preprocess, "segnet_input", lambda seen, size: right(seen, size).detach())


def measured(segnet: float, posenet: float) -> Spoil:
    """A comparison that says this."""
    said = measure.Measurement(segnet_pairs=np.array([segnet]), posenet_pairs=np.array([posenet]))
    return lambda _, monkeypatch: monkeypatch.setattr(measure, "compare", lambda *_: said)


def tree(**files: bytes) -> Spoil:
    """A decoder with more files."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        more = {name.replace("__", "/").replace("_py", ".py"): content for name, content in files.items()}
        subject.kept["tree"] = replace(subject.tree, files={**subject.tree.files, **more})

    return spoil


def needs(*names: str) -> Spoil:
    """A decoder that needs other packages."""
    return lambda subject, _: subject.kept.update(tree=replace(subject.tree, requirements=names))


def trial(change: Callable[[Any], dict[str, Any]]) -> Spoil:
    """Another outcome of the trial."""
    return lambda subject, _: subject.kept.update(trial=replace(subject.trial, **change(subject.trial)))


def stream(payload: bytes) -> Bitstream:
    """A payload of one section."""
    return Bitstream(payload=payload, sections=(Section(name="x", kind="bytes", offset=0, n_bytes=len(payload)),))


def codec(**methods: Any) -> Spoil:
    """A codec with other methods."""

    def spoil(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        real = codecs.get(subject.recipe.family)

        class Other:
            spec = real.spec

            def __getattr__(self, name: str) -> Any:
                return methods.get(name, getattr(real, name))

        monkeypatch.setattr(codecs, "get", lambda _: Other())

    return spoil


def packet_with(**files: bytes) -> Spoil:
    """A trial packet of which a copy has other files."""

    def spoil(subject: Subject, _: pytest.MonkeyPatch) -> None:
        copy = subject.trial.packet.with_name("spoiled")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(subject.trial.packet, copy)
        for name, content in files.items():
            (copy / name.replace("_zip", ".zip")).write_bytes(content)
        custody.seal(copy)
        subject.kept["trial"] = replace(subject.trial, packet=copy)

    return spoil


def stray_evidence(subject: Subject, _: pytest.MonkeyPatch) -> None:
    (subject.ledgers / "toy" / "runs").mkdir(exist_ok=True)
    (subject.ledgers / "toy" / "runs" / "torn-00000000.json").write_bytes(b"{")


def torn_record(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    stray_evidence(subject, monkeypatch)
    subject.kept.pop("runs")


def a_dead_lane_without_a_table(subject: Subject, _: pytest.MonkeyPatch) -> None:
    (subject.ledgers / "negative").mkdir(exist_ok=True)
    (subject.ledgers / "negative" / "x.json").write_text("[")


EMPTY = Formula(segnet=0.0, posenet=10.0, rate=25.0)
PAIRS = np.zeros((2, 2, 96, 128, 3), np.uint8)
SPOILED: dict[str, Spoil] = {
    "machine.python-is-recent": machine(python=(3, 10)),
    "machine.packages-are-installed": machine(installed=frozenset()),
    "machine.torch-is-the-pinned-one": machine(torch_version="1.0.0"),
    "machine.one-thread-per-process": machine(threads=2),
    "machine.arithmetic-is-exact": machine(exact=False),
    "machine.loops-compile": machine(loop_result=0),
    "machine.encoders-are-here": machine(encoders=frozenset({"libx264"})),
    "machine.decoders-are-here": machine(decoders=frozenset()),
    "machine.tools-are-here": machine(tools=frozenset()),
    "machine.disk-holds-the-raw-frames": machine(scratch_free_bytes=1 << 20),
    "machine.disk-holds-the-cache": machine(cache_free_bytes=1 << 20),
    "machine.memory-holds-a-batch": machine(memory_free_bytes=1 << 20),
    "machine.files-can-be-opened": machine(open_files=16),
    "machine.walls-stand": machine(walls=("own process",)),
    "machine.device-is-there": lambda subject, _: setattr(subject, "axis", "mps"),
    "machine.clock-is-plausible": machine(now=datetime(2001, 1, 1, tzinfo=UTC)),
    "machine.commit-is-known": machine(commit="unversioned"),
    "machine.scratch-can-be-written": folder("work"),
    "machine.cache-can-be-written": folder("cache"),
    "machine.files-can-be-linked": call(os, "link", OSError(1, "no links here")),
    "machine.files-can-be-locked": call(fcntl, "flock", OSError(1, "no locks here")),
    "material.source-is-here": source(bytes=1),
    "material.source-has-its-digest": source(sha256="0" * 64),
    "material.segnet-has-its-digest": network("segnet"),
    "material.posenet-has-its-digest": network("posenet"),
    "material.source-has-every-frame": source(n_frames=7),
    "material.pairs-fit-the-frames": contract(n_pairs=4),
    "material.frames-have-their-size": observed(pairs=PAIRS[:, :, :90]),
    "material.frame-rate-is-declared": lambda subject, _: subject.kept.update(
        video=replace(subject.video, fps=Fraction(30000, 1001))
    ),
    "material.frames-are-pictures": observed(pairs=PAIRS),
    "material.frames-cover-the-model-grid": contract(model_size=(97, 48)),
    "material.formula-rises-with-every-part": contract(formula=EMPTY),
    "material.time-limit-is-set": contract(time_limit_s=0),
    "material.records-are-of-this-state": observed(runs=[a_run()]),
    "question.family-is-known": asked(family="absent"),
    "question.question-is-asked": asked(question="it helps"),
    "question.name-makes-an-id": asked(name="conventional/Ärger mit Umlauten"),
    "question.parameters-make-sense": asked(params={"crf": 20}),
    "question.text-says-the-same": asked(seed=1),
    "question.seed-is-fixed": asked(seed=-1),
    "question.parent-is-on-record": asked(parent="conventional/never-run", changed="x"),
    "question.parent-is-another": child_of_itself,
    "question.changed-axis-is-named": asked(parent="conventional/parent", changed=" "),
    "question.something-changes": child_like_its_parent,
    "question.question-is-open": answered,
    "question.trial-is-possible": a_trial_that_cannot_be,
    "instruments.networks-are-frozen": weights(lambda weight: weight.requires_grad_()),
    "instruments.networks-are-in-evaluation-mode": networks(lambda seg, pose: (seg.train(), pose)),
    "instruments.networks-are-full-precision": networks(lambda seg, pose: (seg, pose.double())),
    "instruments.weights-are-finite": weights(lambda weight: weight.data.fill_(float("nan"))),
    "instruments.segnet-answers-on-its-grid": observed(answers=(torch.zeros(2, 4, 32, 48), torch.zeros(2, 12))),
    "instruments.posenet-answers-enough": observed(answers=(torch.zeros(2, 5, 32, 48), torch.zeros(2, 5))),
    "instruments.answers-are-finite": observed(answers=(torch.zeros(2, 5, 32, 48), torch.full((2, 12), torch.inf))),
    "instruments.answers-repeat": networks(lambda seg, pose: (seg, Unsure(pose))),
    "instruments.segnet-sees-more-than-one-class": observed(answers=(torch.zeros(2, 5, 32, 48), torch.zeros(2, 12))),
    "instruments.posenet-hears-a-difference": networks(lambda seg, pose: (seg, Same())),
    "instruments.gradients-reach-both-frames-through-posenet": networks(lambda seg, pose: (seg, Deaf(pose))),
    "instruments.gradients-reach-the-last-frame-through-segnet": blind,
    "instruments.preprocessing-is-the-contests": wrong_resize,
    "instruments.distortion-of-the-source-is-nothing": measured(0.1, 0.0),
    "instruments.distortion-of-damage-is-something": measured(0.1, 0.0),
    "instruments.kept-answers-are-fresh": stale_answers,
    "decoder.closure-is-found": tree(lab__more_py=b""),
    "decoder.closure-leaves-the-bench-out": tree(lab__evaluator__networks_py=b""),
    "decoder.closure-keeps-the-charge-rule": tree(lab__more_py=b"DATA = '" + b"a1B2" * 100 + b"'\n"),
    "decoder.requirements-are-declared": tree(lab__more_py=b"import scipy\n"),
    "decoder.requirements-are-installed": needs("no_such_package"),
    "decoder.family-code-is-its-own": trial(lambda t: {"stream": stream(b"\xa7\xff")}),
    "decoder.trial-repeats": trial(lambda t: {"again": stream(b"x")}),
    "decoder.trial-sections-tile": codec(anatomy=lambda payload: type("B", (), {"sections": ()})()),
    "decoder.trial-decodes-to-every-pair": trial(lambda t: {"decoded": t.decoded[:1]}),
    "decoder.trial-resembles-the-source": lambda subject, _: subject.kept.update(
        trial=replace(subject.trial, decoded=PAIRS), pairs=np.full_like(PAIRS, 250)
    ),
    "decoder.damage-is-refused": codec(decode=lambda payload: iter(())),
    "decoder.alien-payloads-are-refused": codec(decode=lambda payload: iter(())),
    "decoder.archive-reads-back": packet_with(archive_zip=archive.write(b"another payload")),
    "decoder.packet-complies": packet_with(archive_zip=b"PK\x05\x06" + bytes(18)),
    "decoder.inflation-is-the-decode": trial(lambda t: {"inflated": bytes(len(t.inflated))}),
    "decoder.inflation-meets-the-time-limit": trial(lambda t: {"inflate_s": 1e6}),
    "books.ledger-is-here": folder("ledgers"),
    "books.ledger-can-be-written": folder("ledgers"),
    "books.records-can-be-read": torn_record,
    "books.ledger-holds-together": stray_evidence,
    "books.promoted-archives-are-kept": observed(runs=[a_run()]),
    "books.negative-lanes-can-be-read": a_dead_lane_without_a_table,
}
# Checks that need what is broken, and so cannot look at all: refusals as well, and said to be of that kind.
CANNOT_LOOK = {"books.records-can-be-read"}
CHECKS = {check.name: check for check in preflight.checks()}


def test_a_sound_subject_passes_every_check(sound: Subject) -> None:
    results = preflight.run(sound)
    assert [f"{item.name}: {item.what}" for item in results if not item.passed] == []
    assert len(results) >= 50


def test_every_check_has_a_claim_and_a_way_to_fail() -> None:
    assert set(SPOILED) == set(CHECKS)
    claims = [check.claim for check in CHECKS.values()]
    assert len(set(claims)) == len(claims)
    assert all(claim.count(" ") >= 3 for claim in claims)


@pytest.mark.parametrize("name", list(SPOILED))
def test_each_check_refuses_what_it_claims_to_see(name: str, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    SPOILED[name](subject, monkeypatch)
    result = preflight.make(CHECKS[name], subject)
    assert not result.passed, result
    assert result.ran != (name in CANNOT_LOOK), result


@pytest.mark.parametrize("name", ["machine", "video", "pairs", "networks", "runs", "tree", "trial"])
def test_a_check_that_cannot_run_is_a_refusal(name: str, subject: Subject) -> None:
    """Where an observation fails, every check that rests on it refuses and says that it could not look."""
    subject.kept[name] = BitstreamError("the instrument", found="broken")
    subject.kept.pop("answers", None)
    results = preflight.run(subject)
    blind = [item for item in results if not item.ran]
    assert blind
    assert all(not item.passed and "could not run" in item.what for item in blind)


def test_a_failed_observation_is_made_only_once(sound: Subject) -> None:
    subject, tries = replace(sound, kept={}), []

    def fail() -> None:
        tries.append(1)
        raise OSError("no")

    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            subject.observe("x", fail)
    assert len(tries) == 1


def test_a_trial_trains_next_to_nothing() -> None:
    long = recipe.Recipe(name="a/b", family="a", question="?", params={"steps": 9000, "crf": 3}, stages=({"steps": 7},))
    short = preflight.subject.trial_recipe(long)
    assert (short.params, short.stages) == ({"steps": 2, "crf": 3}, ({"steps": 2},))


def test_the_verb_lists_every_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["preflight", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {item["check"]: item["claim"] for item in listed} == {name: item.claim for name, item in CHECKS.items()}


def test_the_verb_refuses_with_status_one(
    sound: Subject, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "AREAS", (preflight.question,))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "toy.toml").write_text(TEXT.replace("sound?", "sound"))
    arguments = ["--ledgers", str(sound.ledgers), "preflight", str(tmp_path / "toy.toml"), "--contract", "toy"]
    assert cli.main(arguments) == 1
    assert "refused: question.question-is-asked" in capsys.readouterr().out
    (tmp_path / "toy.toml").write_text(TEXT)
    assert cli.main(arguments) == 0
