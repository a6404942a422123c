"""Facts are read from disk: whatever is changed, lost or made up there, the grade follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper import NAME, a_contract, a_replay, a_runtime, edit, enter

from lab import archive, evidence, facts, runtime
from lab.contract import Contract
from lab.errors import EvaluationError, LedgerError
from lab.ledger import Ledger, Run


@pytest.fixture
def made(tmp_path: Path) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The paper ledger."""
    return Ledger(tmp_path)


def graded(run: Run, made: Contract, ledger: Ledger) -> tuple[str, str]:
    """The grade that the disk gives now, and its reasons."""
    decided, reasons = evidence.grade(ledger.facts_of(run.data, made))
    return decided.value, "; ".join(reasons)


def test_a_run_that_entered_is_graded_from_its_folder(made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    assert run.grade == "A"
    assert graded(run, made, ledger)[0] == "A"
    assert enter(ledger, made, "worse", seed=1, verdict="rejected").grade == "A-negative"


@pytest.mark.parametrize("name", ["report.txt", "evaluation.json", "pairs.csv", "anatomy.json", "recipe.toml"])
def test_lost_evidence_is_a_gap_by_name(name: str, made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    (ledger.evidence(NAME, run.id) / name).unlink()
    grade, reasons = graded(run, made, ledger)
    assert grade == "empirical"
    assert name in reasons


@pytest.mark.parametrize("name", ["report.txt", "evaluation.json", "pairs.csv", "anatomy.json", "recipe.toml"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]", b"{}", b"[" * 100_000, b"x" * (17 << 20)])
def test_damaged_evidence_is_a_contradiction(name: str, content: bytes, made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    (ledger.evidence(NAME, run.id) / name).write_bytes(content)
    grade, reasons = graded(run, made, ledger)
    assert grade == "invalid"
    assert name in reasons


def archive_swapped(folder: Path, run: Run, ledger: Ledger) -> None:
    ledger.archive(NAME, run.data["custody"]["archive_sha256"]).write_bytes(archive.write(b"another"))


def archive_lost(folder: Path, run: Run, ledger: Ledger) -> None:
    ledger.archive(NAME, run.data["custody"]["archive_sha256"]).unlink()


def runtime_lost(folder: Path, run: Run, ledger: Ledger) -> None:
    ledger.runtime(NAME, run.data["custody"]["runtime_sha256"]).unlink()


def runtime_swapped(folder: Path, run: Run, ledger: Ledger) -> None:
    other = runtime.pack(a_runtime(extra="# another"))
    ledger.runtime(NAME, run.data["custody"]["runtime_sha256"]).write_bytes(other)


def pair_better(folder: Path, run: Run, ledger: Ledger) -> None:
    rows = (folder / "pairs.csv").read_text().splitlines()
    (folder / "pairs.csv").write_text("\n".join([*rows[:2], "1,0.0,0.0"]) + "\n")


def pair_gone(folder: Path, run: Run, ledger: Ledger) -> None:
    rows = (folder / "pairs.csv").read_text().splitlines()
    (folder / "pairs.csv").write_text("\n".join(rows[:-1]) + "\n")


def report_better(folder: Path, run: Run, ledger: Ledger) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text.replace(f"= {run.total:.12f}", "= 0.100000000000"))


def report_of_another(folder: Path, run: Run, ledger: Ledger) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text.replace(run.data["custody"]["archive_sha256"], "ab" * 32))


def report_twice(folder: Path, run: Run, ledger: Ledger) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text + text)


def report_of_fewer(folder: Path, run: Run, ledger: Ledger) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text.replace("over 2 samples", "over 1 samples"))


def report_with_a_stray_file(folder: Path, run: Run, ledger: Ledger) -> None:
    """As the contest prints it where a file of eighteen bytes lies beside the video."""
    path, size = folder / "report.txt", run.data["evaluation"]["source_bytes"]
    text = path.read_text()
    assert f"size: {size:,} bytes" in text
    path.write_text(text.replace(f"size: {size:,} bytes", f"size: {size + 18:,} bytes"))


def evaluation_better(folder: Path, run: Run, ledger: Ledger) -> None:
    edit(folder / "evaluation.json", evaluation__segnet=0.0)


def evaluation_elsewhere(folder: Path, run: Run, ledger: Ledger) -> None:
    edit(folder / "evaluation.json", evaluation__axis="cuda")


def anatomy_short(folder: Path, run: Run, ledger: Ledger) -> None:
    edit(folder / "anatomy.json", sections=[])


def recipe_other(folder: Path, run: Run, ledger: Ledger) -> None:
    text = (folder / "recipe.toml").read_text()
    (folder / "recipe.toml").write_text(text.replace("seed = 0", "seed = 1"))


def linked(folder: Path, run: Run, ledger: Ledger) -> None:
    (folder / "pairs.csv").rename(folder.parent / "elsewhere.csv")
    (folder / "pairs.csv").symlink_to(folder.parent / "elsewhere.csv")


@pytest.mark.parametrize(
    ("tamper", "grade", "complaint"),
    [
        (archive_swapped, "invalid", "archive kept on disk"),
        (archive_lost, "empirical", "its archive is not kept"),
        (runtime_lost, "empirical", "its runtime tree is not kept"),
        (runtime_swapped, "invalid", "kept runtime is not the recorded one"),
        (pair_better, "invalid", "pairs.csv gives"),
        (pair_gone, "invalid", "pairs.csv has 1 pairs"),
        (report_better, "invalid", "report.txt says 0.1 but components give"),
        (report_of_another, "invalid", "report.txt names the archive abababab"),
        (report_twice, "invalid", "report.txt is not one"),
        (report_of_fewer, "invalid", "report.txt says n_pairs 1"),
        (report_with_a_stray_file, "invalid", "report.txt says source_bytes"),
        (evaluation_better, "invalid", "evaluation.json and the record differ in evaluation"),
        (evaluation_elsewhere, "invalid", "differ in evaluation"),
        (anatomy_short, "invalid", "does not account for every byte"),
        (recipe_other, "invalid", "recipe.toml has digest"),
        (linked, "empirical", "no pairs.csv"),
    ],
)
def test_tampering_is_seen(
    tamper: Callable[[Path, Run, Ledger], None], grade: str, complaint: str, made: Contract, ledger: Ledger
) -> None:
    run = enter(ledger, made)
    tamper(ledger.evidence(NAME, run.id), run, ledger)
    found, reasons = graded(run, made, ledger)
    assert (found, complaint in reasons) == (grade, True), reasons


def test_a_contract_that_moved_on_leaves_its_records_unranked(made: Contract, ledger: Ledger) -> None:
    from dataclasses import replace

    run = enter(ledger, made)
    moved = replace(made, time_limit_s=59)
    grade, reasons = graded(run, moved, ledger)
    assert grade == "empirical"
    assert "another state of the contract" in reasons


def test_a_runtime_that_breaks_the_charge_rule_is_invalid_from_the_start(made: Contract, ledger: Ledger) -> None:
    cheat = a_runtime(extra="\nTABLE = " + repr(tuple(range(100_000, 101_000))) + "\n")
    run = enter(ledger, made, "cheat", tree=cheat)
    assert run.grade == "invalid"
    assert any("charge.numbers" in reason for reason in run.data["grade_reasons"])


def test_a_rejected_cheat_keeps_its_broken_rule_without_its_runtime(made: Contract, ledger: Ledger) -> None:
    from paper import a_draft, evaluation

    record, texts, data = a_draft(made, verdict="rejected")
    record["custody"]["charge"] = {"mode": "archive_seeded", "findings": ["charge.blob at x.py:1: data"]}
    texts["evaluation.json"] = evaluation(record)
    run = ledger.enter(record, made, texts, archive_data=data, tree=a_runtime())
    assert run.grade == "invalid"
    assert not ledger.runtime(NAME, record["custody"]["runtime_sha256"]).exists()


def test_replays_are_read_and_damaged_ones_are_not_ignored(made: Contract, ledger: Ledger) -> None:
    run = enter(ledger, made)
    path = ledger.add_replay(run, a_replay(run))
    assert ledger.get(made, run.id).grade == "A++"
    assert len(facts.replays(path)) == 1
    for damage in (b"", b"{}", b'{"schema": "lab.replay/1", "replays": [{}]}', b"[" * 9_999, b"x" * (2 << 20)):
        path.write_bytes(damage)
        with pytest.raises(LedgerError, match=r"replay\.json"):
            facts.replays(path)
        with pytest.raises(LedgerError):
            ledger.get(made, run.id)
        assert graded(run, made, ledger)[0] == "invalid"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pair,segnet,posenet\n",
        "pair,posenet,segnet\n0,0.1,0.1\n",
        "pair,segnet,posenet\n1,0.1,0.1\n",
        "pair,segnet,posenet\n0,0.1\n",
        "pair,segnet,posenet\n0,nan,0.1\n",
        "pair,segnet,posenet\n0,-0.1,0.1\n",
        "pair,segnet,posenet\n0,0.1,inf\n",
        "pair,segnet,posenet\n0,0.1,0.1\n0,0.1,0.1\n",
        "pair,segnet,posenet\n0,=1+1,0.1\n",
        'pair,segnet,posenet\n0,"0.1,0.1\n',
    ],
)
def test_what_is_no_list_of_pairs_is_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"pairs\.csv"):
        facts.read_pairs(text)


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_pairs_or_refused(text: str) -> None:
    try:
        assert facts.read_pairs(text).count > 0
    except EvaluationError:
        return
