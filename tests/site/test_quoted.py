"""What others published prints as external with its source; a text that asks for it waits until it was imported."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import SiteError
from lab.site.cite import NoRunYet
from lab.site.quoted import PublicRecord

LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"


@pytest.fixture(scope="module")
def public() -> PublicRecord:
    """The committed public record."""
    return PublicRecord(LEDGERS)


def test_a_figure_is_marked_with_its_sources(public: PublicRecord) -> None:
    shown = public.mean("hnerv", "gap", 4)
    analysis = public.shelf.analysis["families"]["hnerv"]["gap"]
    assert shown.striptags() == f"{analysis['mean']:.4f}"
    assert 'class="external"' in shown and "public_pr100_108_eval_comment_scorecard" in shown


def test_an_interval_shows_both_signs(public: PublicRecord) -> None:
    low, high = public.shelf.analysis["families"]["masks-and-renderer"]["gap"]["mean_95"]
    assert low < 0 < high
    assert public.interval("masks-and-renderer", "gap", 4).striptags() == f"−{-low:.4f} to {high:.4f}"


def test_every_pair_and_every_finding_can_be_told(public: PublicRecord) -> None:
    assert len(public.pairs) == len(public.shelf.analysis["pairs"])
    told = [says for trap in public.traps for says in public.findings(trap)]
    assert len(told) == public.n_findings
    assert all(re.match(r'<abbr class="external" title="external: .+">.+</abbr>', says) for says in told)
    assert {cause["share"].striptags()[-1] for cause in public.causes} == {"%"}


def test_an_unknown_family_is_named(public: PublicRecord) -> None:
    with pytest.raises(SiteError, match="hnerv, masks-and-renderer"):
        public.mean("vvc", "gap", 4)


def test_without_an_import_the_text_waits(tmp_path: Path, built: SimpleNamespace) -> None:
    with pytest.raises(NoRunYet):
        _ = PublicRecord(tmp_path).n_records
    waiting = {text.document.slug: text.waits_for for text in built.plan.waiting}
    assert waiting["cpu-or-cuda"] == ("the public record (lab ledger import)",)
