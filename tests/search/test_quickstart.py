"""The README's second example does the whole loop and leaves the ledger of the checkout alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import toy_contract

from lab.ledger import Ledger
from lab.search import quickstart

ROOT = Path(__file__).resolve().parents[2]


def test_the_loop_goes_round_on_a_contract_of_six_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = toy_contract(tmp_path / "ledgers")
    monkeypatch.setenv("LAB_LEDGERS", str(tmp_path / "ledgers"))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert quickstart.main(["--contract", "toy", "--out", str(tmp_path / "kept")]) == 0
    told = capsys.readouterr().out
    assert "outcomes in their bands" in told
    runs = Ledger(tmp_path / "kept").runs(toy)
    journal = json.loads((tmp_path / "kept" / "searches" / "quickstart.json").read_text())
    measured = [row for cycle in journal["cycles"] for row in cycle["rows"] if "total" in row]
    assert len(journal["cycles"]) == 2
    assert len(runs) == 2 + len(measured) == 6
    assert not (tmp_path / "ledgers" / "toy" / "runs").exists()


@pytest.mark.slow
def test_the_readme_example_improves_on_its_anchors(tmp_path: Path) -> None:
    before = sorted((ROOT / "ledgers").rglob("*"))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lab.search.quickstart", "--out", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    print(f"{time.monotonic() - started:.0f} s\n{done.stdout[-1500:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    journal = json.loads((tmp_path / "searches" / "quickstart.json").read_text())
    assert journal["cycles"][-1]["total_after"] < journal["cycles"][0]["total_before"]
    rows = [row for cycle in journal["cycles"] for row in cycle["rows"]]
    assert any(row.get("lanes") and not row["chosen"] for row in rows)
    assert sorted((ROOT / "ledgers").rglob("*")) == before
