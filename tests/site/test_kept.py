"""A process that reads a ledger again keeps the entries of runs that have not changed, and sees whatever has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shelf
from conftest import SOURCE

from lab import contract as contracts
from lab.errors import LabError
from lab.ledger import identity_of, run_id
from lab.site import intake, leaks, redact
from lab.site.book import Book, Entry
from lab.site.kept import Kept


class Desk:
    """A ledger that is read again and again with one memory."""

    def __init__(self, made: shelf.Made) -> None:
        self.made, self.kept = made, Kept()
        self.folder = made.ledgers / shelf.NAME
        self.source, self.redactor = SOURCE, None
        self.entries = self.by_id(self.read())

    def read(self) -> Book:
        """The book as it is read with the memory; it must be the one that is read without."""
        book = intake.load(self.source, self.made.ledgers, self.redactor, self.kept)
        assert book == intake.load(self.source, self.made.ledgers, self.redactor)
        return book

    @staticmethod
    def by_id(book: Book) -> dict[str, Entry]:
        return {entry.id: entry for shelf in book.shelves for entry in shelf.entries}

    def again(self) -> set[str]:
        """Ids of runs whose entries are others than before, or gone."""
        before, self.entries = self.entries, self.by_id(self.read())
        return {one for one in before.keys() | self.entries.keys() if before.get(one) is not self.entries.get(one)}

    def record(self, slug: str) -> Path:
        return self.folder / "runs" / f"{self.made.ids[slug]}.json"

    def evidence(self, slug: str) -> Path:
        return self.folder / "evidence" / self.made.ids[slug]


@pytest.fixture
def desk(small: shelf.Made) -> Desk:
    return Desk(small)


BASE, SECOND = "baseline-fast", "x265-camera-crf30-intra"


def test_nothing_changed_and_every_entry_is_the_same_one(desk: Desk) -> None:
    assert len(desk.entries) == 3
    assert desk.again() == set()


def test_who_looked_ahead_is_believed_once(desk: Desk) -> None:
    seen = desk.kept[shelf.NAME]
    seen.look(str(desk.folder))
    assert desk.again() == set()
    _note(desk)
    seen.look(str(desk.folder))
    assert desk.again() == {desk.made.ids[SECOND]}
    seen.look(str(desk.folder))
    _same_length(desk)
    intake.load(desk.source, desk.made.ledgers, desk.redactor, desk.kept)  # which believes that it is as it was
    assert desk.again() == {desk.made.ids[SECOND]}  # and this does not


def test_what_comes_and_goes_after_a_look_ahead_is_seen(desk: Desk) -> None:
    desk.kept[shelf.NAME].look(str(desk.folder))
    text = desk.record(SECOND).read_text(encoding="utf-8")
    desk.record(SECOND).unlink()
    assert desk.again() == {desk.made.ids[SECOND]}
    desk.kept[shelf.NAME].look(str(desk.folder))
    desk.record(SECOND).write_text(text, encoding="utf-8")
    assert desk.again() == {desk.made.ids[SECOND]}


def _note(desk: Desk) -> None:
    data = json.loads(desk.record(SECOND).read_text(encoding="utf-8"))
    desk.record(SECOND).write_text(json.dumps({**data, "notes": ["one more"]}), encoding="utf-8")


def _same_length(desk: Desk) -> None:
    text = desk.record(SECOND).read_text(encoding="utf-8")
    desk.record(SECOND).write_text(text.replace("coded at full", "coded in full"), encoding="utf-8")


def _report(desk: Desk) -> None:
    with (desk.evidence(SECOND) / "report.txt").open("a", encoding="utf-8") as file:
        file.write("another line\n")


def _link(desk: Desk) -> None:
    (desk.evidence(SECOND) / "stages.txt").symlink_to(desk.evidence(SECOND) / "report.txt")


def _no_evidence(desk: Desk) -> None:
    shutil.rmtree(desk.evidence(SECOND))


def _clip(desk: Desk) -> None:
    (desk.folder / "clips").mkdir(exist_ok=True)
    (desk.folder / "clips" / f"{desk.made.ids[SECOND]}.mp4").write_bytes(b"made up")


CHANGES = [_note, _same_length, _report, _link, _no_evidence, _clip]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_about_a_run_is_seen_and_the_others_stay(desk: Desk, change: Callable[[Desk], None]) -> None:
    change(desk)
    assert desk.again() == {desk.made.ids[SECOND]}
    assert desk.again() == set()


def test_evidence_that_comes_to_a_run_without_any_is_seen(desk: Desk) -> None:
    shutil.rmtree(desk.evidence(SECOND))
    desk.again()
    desk.evidence(SECOND).mkdir()
    (desk.evidence(SECOND) / "report.txt").write_text("a report\n", encoding="utf-8")
    assert desk.again() == {desk.made.ids[SECOND]}


def test_a_replay_of_a_run_whose_evidence_stays_in_the_ledger_is_seen(
    small: shelf.Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "EVIDENCE_RUN_LIMIT", 1)
    desk = Desk(small)
    plain = [entry for entry in desk.entries.values() if entry.plain]
    assert plain
    replay = desk.folder / "evidence" / plain[0].id / "replay.json"
    replay.write_text('{"schema": "lab.replay/1", "replays": []}', encoding="utf-8")
    assert desk.again() == {plain[0].id}
    replay.write_text('{"schema": "lab.replay/0", "replays": []}', encoding="utf-8")
    with pytest.raises(LabError, match=r"replay\.json"):
        intake.load(desk.source, small.ledgers, None, desk.kept)
    replay.write_text('{"schema":  "lab.replay/1", "replays": []}', encoding="utf-8")
    assert desk.again() == {plain[0].id}


def test_more_runs_than_carry_their_evidence_are_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "EVIDENCE_RUN_LIMIT", 2)
    assert desk.again() == set(desk.made.ids.values())


def another(desk: Desk, **changes: Any) -> str:
    """The id of one record more, like the second."""
    data = json.loads(desk.record(SECOND).read_text(encoding="utf-8")) | changes
    data["id"] = run_id("another", identity_of(data))
    (desk.folder / "runs" / f"{data['id']}.json").write_text(json.dumps(data), encoding="utf-8")
    return str(data["id"])


def test_a_record_more_and_a_record_less_are_seen(desk: Desk) -> None:
    more = another(desk, recorded_at="2020-01-01T00:00:00Z")
    assert desk.again() == {more}
    (desk.folder / "runs" / f"{more}.json").unlink()
    assert desk.again() == {more}
    assert desk.again() == set()


def test_a_record_that_is_replaced_knows_it_once(desk: Desk) -> None:
    old = desk.made.ids[SECOND]
    first = another(desk, supersedes=old)
    assert desk.again() == {first, old}
    assert desk.entries[old].superseded_by == first
    assert desk.again() == set()
    (desk.folder / "runs" / f"{first}.json").unlink()
    assert desk.again() == {first, old}
    assert desk.entries[old].superseded_by is None


def test_a_damaged_record_is_refused_and_its_repair_is_read(desk: Desk) -> None:
    text = desk.record(SECOND).read_text(encoding="utf-8")
    desk.record(SECOND).write_text("{", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(LabError, match=desk.made.ids[SECOND]):
            intake.load(desk.source, desk.made.ledgers, None, desk.kept)
    desk.record(SECOND).write_text(text, encoding="utf-8")
    assert desk.again() == {desk.made.ids[SECOND]}


def test_another_state_of_the_contract_is_read_under_again(desk: Desk) -> None:
    path = desk.folder / "contract.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("time_limit_s = ", "time_limit_s = 1"), encoding="utf-8")
    assert contracts.load(shelf.NAME, desk.made.ledgers).digest != desk.made.contract.digest
    assert desk.again() == set(desk.made.ids.values())
    assert desk.again() == set()
    (desk.folder / "states").mkdir(exist_ok=True)
    (desk.folder / "states" / "note.txt").write_text("a state, perhaps", encoding="utf-8")
    assert desk.again() == set(desk.made.ids.values())


def test_other_settings_or_another_redactor_read_everything_again(desk: Desk, tmp_path: Path) -> None:
    desk.source = tmp_path / "source"
    desk.source.mkdir()
    settings = (SOURCE / "site.toml").read_text(encoding="utf-8")
    (desk.source / "site.toml").write_text(settings.replace("title = ", 'title = "The " # '), encoding="utf-8")
    assert desk.again() == set(desk.made.ids.values())
    desk.redactor = redact.Redactor(gate=leaks.Gate(), folder=tmp_path / "redacted")
    assert desk.again() == set(desk.made.ids.values())
    desk.redactor = replace(desk.redactor, gate=leaks.Gate(declared=("someone",)))
    assert desk.again() == set(desk.made.ids.values())
    assert desk.again() == set()


def test_a_redacted_copy_that_is_gone_is_made_again(desk: Desk, tmp_path: Path) -> None:
    with (desk.evidence(SECOND) / "report.txt").open("a", encoding="utf-8") as file:
        file.write("/".join(["log", "home", "someone", "runs"]).replace("log", "log ") + "\n")
    desk.redactor = redact.Redactor(gate=leaks.Gate(), folder=tmp_path / "redacted")
    desk.again()
    assert desk.again() == set()
    shutil.rmtree(tmp_path / "redacted")
    intake.load(desk.source, desk.made.ledgers, desk.redactor, desk.kept)
    assert list((tmp_path / "redacted").rglob("report.txt"))


def test_a_ledger_that_is_gone_is_forgotten(desk: Desk) -> None:
    shutil.rmtree(desk.folder / "runs")
    assert desk.again() == set(desk.made.ids.values())
    assert shelf.NAME not in desk.kept
