"""The ledger under pressure: many writers, killed writers, hostile records; nothing is lost, torn or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from paper import NAME, a_contract, a_draft, a_replay, a_runtime, edit, enter

from lab import audit, schema, store
from lab.contract import Contract
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch
from lab.ledger import Ledger, current, frontier, identity_of, run_id, superseded

HERE = Path(__file__).parent


@pytest.fixture
def made(tmp_path: Path) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The paper ledger."""
    return Ledger(tmp_path)


def rules(root: Path) -> set[str]:
    """Rules that an audit of a ledger finds broken."""
    return {finding.rule for finding in audit.verify(root).findings}


def test_what_enters_comes_back_and_holds_together(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = enter(ledger, made)
    assert ledger.runs(made) == [run]
    assert ledger.get(made, run.id[:8]) == run
    found = audit.verify(tmp_path)
    assert (found.records, found.graded, found.findings) == (1, {"A": 1}, ())
    stored = json.loads(ledger.record_path(NAME, run.id).read_text())
    assert stored == run.data


def test_a_record_never_yields_to_another(made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    path = ledger.record_path(NAME, run.id)
    before = {item: item.read_bytes() for item in path.parents[1].rglob("*") if item.is_file()}
    with pytest.raises(DuplicateRun, match="never edited"):
        enter(ledger, made)
    with pytest.raises(DuplicateRun):
        ledger.append({**run.data, "notes": ["mine"]}, made)
    assert before == {item: item.read_bytes() for item in path.parents[1].rglob("*") if item.is_file()}


def test_an_archive_is_not_an_identity(made: Contract, ledger: Ledger) -> None:
    """The same bytes under another runtime or on another axis are another result."""
    first = enter(ledger, made)
    second = enter(ledger, made, tree=a_runtime(extra="# a comment\n"))
    assert first.data["custody"]["archive_sha256"] == second.data["custody"]["archive_sha256"]
    assert first.id != second.id
    record = a_draft(made)[0]
    ids = {identity_of(record)}
    for table, name, value in (
        ("evaluation", "axis", "cuda"),
        ("custody", "runtime_sha256", "1"),
        ("custody", "evaluator_sha256", "2"),
        ("custody", "archive_sha256", "3"),
    ):
        ids.add(identity_of({**record, table: {**record[table], name: value}}))
    ids.add(identity_of({**record, "supersedes": "x-1"}))
    ids.add(identity_of({**record, "contract_sha256": "4"}))
    assert len(ids) == 7
    assert run_id("My_Slug", "abcdef0123") == "my-slug-abcdef01"


def test_a_correction_supersedes_and_the_old_record_stays(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    wrong = enter(ledger, made, segnet=0.001)
    right = enter(ledger, made, supersedes=wrong.id)
    runs = ledger.runs(made)
    assert superseded(runs) == {wrong.id}
    assert list(current(runs)) == [right]
    assert frontier(runs, "cpu") == right
    assert frontier(runs, "cuda") is None
    assert not rules(tmp_path)


@pytest.mark.parametrize("field", ["supersedes", "parents"])
def test_a_record_names_only_records_that_stand(field: str, made: Contract, ledger: Ledger) -> None:
    changes: dict[str, Any] = {field: "ghost-00000000" if field == "supersedes" else ("ghost-00000000",)}
    with pytest.raises(LedgerError, match="a run on record"):
        enter(ledger, made, **changes)
    assert not (ledger.folder(NAME) / "evidence").exists()


def test_replays_gather_and_lift_the_grade(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = enter(ledger, made)
    stored = ledger.record_path(NAME, run.id).read_bytes()
    ledger.add_replay(run, a_replay(run))
    ledger.add_replay(run, a_replay(run))
    again = ledger.get(made, run.id)
    assert again.grade == "A++"
    assert "inflated 4 times more" in again.data["grade_reasons"][-1]
    assert ledger.record_path(NAME, run.id).read_bytes() == stored
    assert not rules(tmp_path)
    ledger.add_replay(run, a_replay(run, raw_sha256=["ab" * 32] * 2))
    assert ledger.get(made, run.id).grade == "A"


TAMPERING: dict[str, tuple[str, dict[str, Any]]] = {
    "a better total": ("record", {"score__total": 0.1}),
    "a better component": ("record", {"evaluation__segnet": 0.0}),
    "an unknown field": ("record", {"private": 1}),
    "a better grade": ("grade", {"grade": "A++"}),
    "a worse grade": ("grade", {"grade": "invalid"}),
    "another id inside": ("record", {"id": "other-00000000"}),
    "another archive": ("grade", {"custody__archive_sha256": "ab" * 32}),
    "another raw digest": ("grade", {"custody__raw_sha256": "ab" * 32}),
    "another runtime": ("grade", {"custody__runtime_sha256": "ab" * 32}),
    "another axis": ("id", {"evaluation__axis": "cuda"}),
    "a hidden control": ("record", {"notes": ["\x1b[2J"]}),
    "a ghost parent": ("parents", {"parents": ["ghost-00000000"]}),
    "a ghost replaced": ("supersedes", {"supersedes": "ghost-00000000"}),
}


@pytest.mark.parametrize("what", sorted(TAMPERING))
def test_an_audit_sees_an_edited_record(what: str, made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    rule, changes = TAMPERING[what]
    run, other = enter(ledger, made), enter(ledger, made, "other", seed=1)
    edit(ledger.record_path(NAME, run.id), **changes)
    found = audit.verify(tmp_path)
    assert rule in {finding.rule for finding in found.findings}
    assert all(other.id not in finding.where for finding in found.findings)


def test_an_audit_sees_circles(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    runs = [enter(ledger, made, f"run-{place}", seed=place) for place in range(3)]
    for run, following in zip(runs, [*runs[1:], runs[0]], strict=True):
        edit(ledger.record_path(NAME, run.id), supersedes=following.id, parents=[following.id])
    circles = [finding for finding in audit.verify(tmp_path).findings if "a circle" in finding.what]
    assert {finding.rule for finding in circles} == {"supersedes", "parents"}
    edit(ledger.record_path(NAME, runs[0].id), supersedes=runs[0].id)
    assert "supersedes" in rules(tmp_path)


def test_an_audit_sees_two_records_that_replace_the_same(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    first = enter(ledger, made)
    enter(ledger, made, "one", seed=1, supersedes=first.id)
    with pytest.raises(LedgerError, match="replaced by one-"):
        enter(ledger, made, "two", seed=2, supersedes=first.id)
    second = enter(ledger, made, "two", seed=2)
    edit(ledger.record_path(NAME, second.id), supersedes=first.id)
    assert any("replaces it too" in finding.what for finding in audit.verify(tmp_path).findings)


def test_an_audit_sees_strays(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = enter(ledger, made)
    (ledger.folder(NAME) / "evidence" / "ghost-00000000").mkdir()
    ledger.archive(NAME, "ab" * 32).write_bytes(b"x")
    (ledger.folder(NAME) / "runs" / "notes.txt").write_text("x")
    (ledger.folder(NAME) / "clips").mkdir()
    (ledger.folder(NAME) / "clips" / "ghost-00000000.mp4").write_bytes(b"x")
    (ledger.evidence(NAME, run.id) / "better.txt").write_text("x")
    ledger.state_path(NAME, "ab" * 32).write_text("x")
    strays = [finding.where for finding in audit.verify(tmp_path).findings if finding.rule == "stray"]
    assert len(strays) == 6
    ledger.record_path(NAME, run.id).write_bytes(b"\x00torn")
    assert {"record", "stray"} <= rules(tmp_path)


def test_a_sweep_takes_what_killed_writers_left_and_nothing_else(
    made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    run = enter(ledger, made)
    kept = sorted(path for path in ledger.folder(NAME).rglob("*") if path.is_file())
    ghost = ledger.folder(NAME) / "evidence" / "ghost-00000000"
    ghost.mkdir()
    (ghost / "report.txt").write_text("x")
    ledger.archive(NAME, "ab" * 32).write_bytes(b"x")
    notes = [ledger.folder(NAME) / "runs" / "notes.txt", ledger.evidence(NAME, run.id) / "better.txt"]
    for note in notes:
        note.write_text("somebody's")
    left = audit.sweep(tmp_path, remove=False)
    assert left == [f"{NAME}/evidence/ghost-00000000", f"{NAME}/archives/{'ab' * 32}.zip"]
    assert ghost.is_dir()
    assert audit.sweep(tmp_path, remove=True) == left
    assert sorted(path for path in ledger.folder(NAME).rglob("*") if path.is_file()) == sorted([*kept, *notes])
    assert audit.sweep(tmp_path, remove=True) == []
    ghost.mkdir()
    ledger.record_path(NAME, run.id).write_bytes(b"\x00torn")
    with pytest.raises(LedgerError):
        audit.sweep(tmp_path, remove=True)
    assert ghost.is_dir()


def test_an_audit_sees_a_kept_runtime_or_archive_that_is_another(
    made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    run = enter(ledger, made)
    kept = ledger.places(run.data)
    for path in (kept.archive, kept.runtime):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"lab", b"lob", 1) if path is kept.runtime else whole + b"\0")
        assert "digest" in rules(tmp_path)
        path.write_bytes(whole)
    assert not rules(tmp_path)


def test_an_audit_goes_on_where_a_contract_is_gone(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    enter(ledger, made)
    (tmp_path / NAME / "contract.toml").unlink()
    assert rules(tmp_path) == {"contract"}


def test_the_ledger_of_this_repository_holds_together() -> None:
    """Every total, digest and grade that is published; strays may be of a run that is being entered just now."""
    findings = [str(finding) for finding in audit.verify(HERE.parent / "ledgers").findings if finding.rule != "stray"]
    assert findings == []


def test_ids_cannot_leave_the_ledger(made: Contract, ledger: Ledger) -> None:
    for identifier in ("../../x", "a/b", "", ".", "..", "-x", "a" * 200, "x\x00y", "ab"):
        with pytest.raises(LedgerError):
            ledger.get(made, identifier)
        with pytest.raises(LedgerError):
            ledger.record_path(NAME, identifier)


def test_an_oversized_record_is_not_read(made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    path = ledger.record_path(NAME, run.id)
    path.write_bytes(b" " * (schema.RECORD_LIMIT_BYTES + 1))
    with pytest.raises(SchemaMismatch, match="at most"):
        ledger.get(made, run.id)


# ---- writers at once, writers that die ----

WRITER = """
import sys, random
from pathlib import Path
sys.path.insert(0, {here!r})
from paper import a_contract, enter
from lab import contract
from lab.errors import DuplicateRun
from lab.ledger import Ledger
root, first, count, shared = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
made, ledger = contract.load("paper", root), Ledger(root)
print("ready", flush=True)
sys.stdin.readline()
for seed in [*range(first, first + count), *range(100_000, 100_000 + shared)]:
    try:
        print(enter(ledger, made, f"run-{{seed}}", seed=seed).id, flush=True)
    except DuplicateRun:
        print("duplicate", flush=True)
"""


def writer(root: Path, first: int, count: int, shared: int = 0) -> subprocess.Popen[str]:
    """A process that enters runs as soon as it is told to start."""
    code = WRITER.format(here=str(HERE))
    arguments = [sys.executable, "-c", code, str(root), str(first), str(count), str(shared)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start(process: subprocess.Popen[str]) -> None:
    """Let a writer go."""
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def test_eight_writers_at_once_lose_nothing_and_double_nothing(made: Contract, tmp_path: Path) -> None:
    own, shared = 4, 3
    crowd = [writer(tmp_path, 1000 * place, own, shared) for place in range(8)]
    for process in crowd:
        start(process)
    said = [line for process in crowd for line in process.communicate()[0].split()]
    assert all(process.returncode == 0 for process in crowd)
    wrote = [line for line in said if line != "duplicate"]
    assert len(wrote) == len(set(wrote)) == 8 * own + shared
    assert said.count("duplicate") == 7 * shared
    assert {run.id for run in Ledger(tmp_path).runs(made)} == set(wrote)
    assert not audit.verify(tmp_path).findings


def kill_writers(root: Path, made: Contract, kills: int, seed: int) -> None:
    """Kill a writer with SIGKILL at a random point, again and again; what it said that it wrote must stand.

    The point lies a random part of a record's time after its first, second or third record, however slow the machine.
    """
    chance = random.Random(seed)
    promised: set[str] = set()
    awaited = 0
    pace = 0.02
    for number in range(kills):
        process = writer(root, 10_000 * (number + 1), 1_000)
        start(process)
        assert process.stdout is not None
        started, whole = time.monotonic(), chance.randrange(3)
        promised |= {process.stdout.readline().strip() for _ in range(whole)}
        awaited += whole
        pace = (time.monotonic() - started) / whole if whole else pace
        time.sleep(chance.uniform(0.0, 1.5 * pace))
        os.kill(process.pid, signal.SIGKILL)
        lines = process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.close()
        promised |= set(lines[:-1])
    ledger = Ledger(root)
    enter(ledger, made, "afterwards")  # the lock is free and the sweep has its chance
    runs = ledger.runs(made)
    assert promised <= {run.id for run in runs}
    assert len(promised) >= awaited > kills // 4  # records were written, and one told of is told of once
    found = audit.verify(root)
    assert found.records == len(runs)
    # A process may die between its evidence and its record; that evidence is a stray, never half a record.
    assert {finding.rule for finding in found.findings} <= {"stray"}
    assert sum(finding.rule == "stray" for finding in found.findings) <= 3 * kills
    audit.sweep(root, remove=True)
    assert not audit.verify(root).findings
    for folder in ("runs", "evidence"):
        assert not list((ledger.folder(NAME) / folder).glob(".*-*"))


def test_writers_that_are_killed_leave_whole_records(made: Contract, tmp_path: Path) -> None:
    kill_writers(tmp_path, made, kills=12, seed=1)


@pytest.mark.slow
def test_five_hundred_killed_writers_leave_whole_records(made: Contract, tmp_path: Path) -> None:
    kill_writers(tmp_path, made, kills=500, seed=2)


def fork_and_kill(folder: Path, kills: int, seed: int) -> int:
    """Kill a forked child in the middle of `write_once`, at a random point; how many files stand."""
    chance = random.Random(seed)
    body = b"x" * 200_000
    pace, told = 0.005, 0
    for number in range(kills):
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for place in range(10_000):
                    store.write_once(folder / f"{number}-{place}.json", body)
                    os.write(said, b".")
            finally:
                os._exit(0)
        os.close(said)
        started, whole = time.monotonic(), chance.randrange(3)
        told += sum(len(os.read(heard, 1)) for _ in range(whole))
        pace = (time.monotonic() - started) / whole if whole else pace
        time.sleep(chance.uniform(0.0, 1.5 * pace))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
    standing = list(folder.glob("*.json"))
    assert len(standing) >= told > kills // 2
    assert all(path.stat().st_size == len(body) for path in standing)
    store.write_once(folder / "afterwards.json", body)
    assert not list(folder.glob(".append-*"))
    return len(standing)


def test_a_write_that_is_killed_leaves_all_or_nothing(tmp_path: Path) -> None:
    fork_and_kill(tmp_path, kills=40, seed=3)


@pytest.mark.slow
def test_five_hundred_killed_writes_leave_all_or_nothing(tmp_path: Path) -> None:
    assert fork_and_kill(tmp_path, kills=500, seed=4) > 0


def test_a_write_does_not_sweep_the_living(tmp_path: Path) -> None:
    mine = tmp_path / f".write-{os.getpid()}-abc"
    mine.write_bytes(b"in the middle of it")
    store.write_atomic(tmp_path / "other", b"x")
    assert mine.exists()
