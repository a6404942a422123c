"""A contract that was frozen anew: what stood before is history, keeps its grade of then, and never ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from paper import NAME, a_contract, edit, enter

from lab import audit, contract, custody
from lab.contract import Contract
from lab.errors import LedgerError
from lab.ledger import Ledger, current, frontier, outdated


@pytest.fixture
def made(tmp_path: Path) -> Contract:
    """The contract of paper."""
    return a_contract(tmp_path)


@pytest.fixture
def ledger(made: Contract, tmp_path: Path) -> Ledger:
    """Its ledger."""
    return Ledger(tmp_path)


def frozen_anew(made: Contract, root: Path, content: bytes = b"posenet, trained for longer") -> Contract:
    """The same contract with another PoseNet."""
    (made.root / "posenet.bin").write_bytes(content)
    path = made.root / contract.FILE_NAME
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(made.networks["posenet"].sha256, custody.sha256_bytes(content)), encoding="utf-8")
    return contract.load(NAME, root)


def test_a_record_of_a_former_state_stays_and_ranks_no_more(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    best = enter(ledger, made, segnet=0.001)
    lost = enter(ledger, made, "lost", seed=1, verdict="rejected")
    stored = ledger.record_path(NAME, best.id).read_bytes()
    after = frozen_anew(made, tmp_path)
    was = Ledger(tmp_path).get(after, best.id)
    assert (was.grade, was.grade_then) == ("empirical", "A")
    assert f"another state of the contract, {made.digest[:12]}: grade A there" in was.data["grade_reasons"][0]
    assert Ledger(tmp_path).get(after, lost.id).grade_then == "A-negative"
    runs = Ledger(tmp_path).runs(after)
    assert outdated(runs, after) == runs and frontier(runs, "cpu") is None
    assert ledger.record_path(NAME, best.id).read_bytes() == stored


def test_an_audit_checks_a_former_record_under_the_contract_of_its_time(
    made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    run = enter(ledger, made)
    frozen_anew(made, tmp_path)
    assert not audit.verify(tmp_path).findings
    edit(ledger.record_path(NAME, run.id), grade="A++")
    assert {finding.rule for finding in audit.verify(tmp_path).findings} == {"grade"}
    edit(ledger.record_path(NAME, run.id), grade="A")
    ledger.state_path(NAME, made.digest).unlink()
    assert {finding.rule for finding in audit.verify(tmp_path).findings} == {"state"}


def test_a_formula_that_changed_does_not_make_old_records_unreadable(
    made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    run = enter(ledger, made)
    path = made.root / contract.FILE_NAME
    path.write_text(path.read_text(encoding="utf-8").replace("rate = 25", "rate = 50"), encoding="utf-8")
    after = contract.load(NAME, tmp_path)
    assert after.digest != made.digest
    assert Ledger(tmp_path).get(after, run.id).total == run.total
    assert not audit.verify(tmp_path).findings


def test_a_kept_state_that_was_edited_is_no_state(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = enter(ledger, made)
    after = frozen_anew(made, tmp_path)
    state = ledger.state_path(NAME, made.digest)
    state.write_text(state.read_text(encoding="utf-8").replace("rate = 25", "rate = 2"), encoding="utf-8")
    with pytest.raises(LedgerError, match="the contract of that digest"):
        Ledger(tmp_path).get(after, run.id)


def test_a_run_measured_again_replaces_its_record(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    old = enter(ledger, made)
    after = frozen_anew(made, tmp_path)
    again = Ledger(tmp_path)
    fresh = enter(again, after, supersedes=old.id)
    assert fresh.id != old.id and fresh.grade == "A"
    runs = again.runs(after)
    assert [run.id for run in current(runs)] == [fresh.id] and outdated(runs, after) == []
    best = frontier(runs, "cpu")
    assert best is not None and best.id == fresh.id
    assert again.find(after, recipe_sha256=fresh.data["recipe"]["sha256"], runtime_sha256=None, axis="cpu") == fresh
    assert not audit.verify(tmp_path).findings


def test_a_record_that_was_replaced_is_not_found_again(made: Contract, ledger: Ledger) -> None:
    wrong = enter(ledger, made, segnet=0.001)
    right = enter(ledger, made, supersedes=wrong.id)
    sought = wrong.data["recipe"]["sha256"]
    assert ledger.find(made, recipe_sha256=sought, runtime_sha256=None, axis="cpu") == right


def test_a_parent_of_another_state_is_a_finding(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    parent = enter(ledger, made)
    after = frozen_anew(made, tmp_path)
    enter(Ledger(tmp_path), after, "child", seed=1, parents=(parent.id,))
    found = [finding for finding in audit.verify(tmp_path).findings if finding.rule == "parents"]
    assert len(found) == 1 and "another state of the contract" in found[0].what


def test_a_record_is_not_replaced_across_axes(made: Contract, ledger: Ledger) -> None:
    first = enter(ledger, made)
    edit(ledger.record_path(NAME, first.id), evaluation__axis="cuda")
    with pytest.raises(LedgerError, match="a record of axis cpu"):
        enter(ledger, made, "other", seed=1, supersedes=first.id)
