"""On request, leaks in records and evidence become named placeholders, counted per file; the rest stays as it is."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import shelf
from conftest import SOURCE, TEMPLATES, build

from lab.errors import LeakFound
from lab.site import bundle, check, intake, leaks, plan, redact, render

PATH = "/".join(["", "home", "someone", "runs"])


def test_redaction_lets_a_leaking_ledger_through_and_counts(small: shelf.Made, tmp_path: Path) -> None:
    identifier = small.ids["x265-camera-crf30-intra"]
    record = small.ledgers / shelf.NAME / "runs" / f"{identifier}.json"
    data = json.loads(record.read_text(encoding="utf-8"))
    data["notes"] = [f"kept in {PATH}/x, see there"]
    record.write_text(json.dumps(data), encoding="utf-8")
    report = small.ledgers / shelf.NAME / "evidence" / identifier / "report.txt"
    report.write_text(f"fine\nlog {PATH}/a and {PATH}/b\nfine\n", encoding="utf-8")
    with pytest.raises(LeakFound):
        build(small.ledgers, tmp_path / "cache")
    redactor = redact.Redactor(gate=leaks.Gate(), folder=tmp_path / "redacted")
    book = intake.load(SOURCE, small.ledgers, redactor)
    tree = render.render(plan.make(book, {}, partial(render.figure_makers, TEMPLATES)), TEMPLATES)
    files = check.check(tree, place=lambda _, content: content).files
    shown = files[f"data/{shelf.NAME}/{identifier}/report.txt"].placed.decode()
    assert shown.startswith("fine\nlog [redacted: absolute path of a machine]")
    assert shown.endswith("\nfine\n")
    listed = json.loads(files[bundle.BUNDLE].placed)["redactions"]
    where = f"{shelf.NAME}/{identifier}"
    assert listed == {f"{where}: notes": 1, f"{where}: evidence/report.txt": 2}
    assert "someone" in report.read_text(encoding="utf-8")  # the ledger itself is never touched


def test_a_clean_ledger_is_not_changed_by_redaction(small: shelf.Made, tmp_path: Path) -> None:
    redactor = redact.Redactor(gate=leaks.Gate(), folder=tmp_path / "redacted")
    book = intake.load(SOURCE, small.ledgers, redactor)
    assert redact.counts(book.withheld) == {}
    assert not (tmp_path / "redacted").exists()
