"""Numbers in prose come from runs, or the build stops with path and line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf
from conftest import SOURCE
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import SiteError, UncitedNumber
from lab.site import cite, prose
from lab.site.book import EvidenceFile
from lab.site.cite import Citation
from lab.site.prose import Desk, Document


def text(body: str) -> Document:
    return Document(where="site_src/notebook/x.md", slug="x", title="X", summary="", order=0, body=body, first_line=4)


def desk(built: SimpleNamespace) -> Desk:
    return Desk(built.book, built.book.main.boards[0], {}, {"rate": "rate"})


def rendered(built: SimpleNamespace, body: str) -> str:
    return str(prose.render(text(body), desk(built)).html)


@pytest.mark.parametrize(
    "line",
    [
        "It scores 0.8731.",
        "at 178,981 bytes",
        "of 178981",
        "about 4e-5",
        "98 % less",
        "12 bytes",
        "3 MB",
        "in 40 s",
        "`0.5`",
    ],
)
def test_a_typed_measured_number_is_refused_with_path_and_line(line: str) -> None:
    with pytest.raises(UncitedNumber, match=r"^notebook/a\.md:3: "):
        cite.uncited(f"Words.\n\n{line}\n", "notebook/a.md")


@pytest.mark.parametrize(
    "line",
    [
        "frames of 437 x 582 pixels",
        "five classes, 150 pairs",
        "torch 2.13.0",
        'public board: {{ external(0.193, "a board") }}',
        "{{ recipe('conventional/x').score.total | score(4) }}",
        "[a link](https://example.org/1.5/x)",
        "```\nlab run --crf 0.5\n```",
        "SHA-256 and CRF 30 and x265",
    ],
)
def test_plain_numbers_and_cited_ones_pass(line: str) -> None:
    cite.uncited(line, "a.md")


def test_every_text_of_the_repository_obeys_the_rule() -> None:
    for path in sorted(SOURCE.rglob("*.md")):
        prose.read(path, SOURCE)


def test_a_citation_prints_the_value_and_leads_to_its_run(built: SimpleNamespace, made: shelf.Made) -> None:
    identifier = made.ids["baseline-fast"]
    entry = built.book.main.by_id[identifier]
    html = rendered(built, f'{{{{ cite("{identifier}").score.total | score(4) }}}}')
    assert f">{entry.total:.4f}</a>" in html
    assert f'href="{entry.url}"' in html
    assert f"{identifier} (grade A, cpu)" in html


def test_a_recipe_is_cited_by_its_current_run(built: SimpleNamespace, made: shelf.Made) -> None:
    html = rendered(built, '{{ recipe("conventional/baseline-fast").bytes }}')
    assert f"{built.book.main.by_id[made.ids['baseline-fast']].n_bytes:,}</a>" in html


def test_of_a_family_only_the_runs_that_a_text_takes_are_cited(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    ranked = sorted(board.entries, key=lambda entry: (entry.total, entry.id))
    assert len(ranked) > 1 and {entry.run.family for entry in ranked} == {"conventional"}
    best = prose.render(text('{{ family("conventional")[0].link }}'), desk(built))
    assert [entry.id for entry in best.cited] == [ranked[0].id]
    every = prose.render(text('{% for run in family("conventional") %}{{ run.link }} {% endfor %}'), desk(built))
    assert {entry.id for entry in every.cited} == {entry.id for entry in ranked}


def test_scores_after_every_stage_are_cited(built: SimpleNamespace, tmp_path: Path) -> None:
    entry = built.book.main.boards[0].entries[0]
    assert Citation(replace(entry, evidence=())).stages == []
    table = tmp_path / "stages.csv"
    evidence = (EvidenceFile(name="stages.csv", path=table, n_bytes=0, sha256=""),)
    table.write_text("stage,steps,candidate,segnet,posenet,n_bytes,score\npixels,30,ema,0.5,0.25,900,51.6\n")
    (stage,) = Citation(replace(entry, evidence=evidence)).stages
    assert (stage.stage, float(stage.steps), float(stage.segnet)) == ("pixels", 30, 0.5)
    assert stage.score.sources == (replace(entry, evidence=evidence),)
    for bad in ("pixels,30,ema,nan,0.25,900,51.6", "pixels,30", "pixels,x,ema,0.5,0.25,900,51.6"):
        table.write_text(f"stage,steps,candidate,segnet,posenet,n_bytes,score\n{bad}\n")
        with pytest.raises(SiteError):
            _ = Citation(replace(entry, evidence=evidence)).stages


def test_differences_know_both_runs(built: SimpleNamespace, made: shelf.Made) -> None:
    body = '{{ (recipe("conventional/baseline-fast").bytes - recipe("conventional/av1-grid-crf30").bytes) }}'
    html = rendered(built, body)
    assert made.ids["baseline-fast"] in html
    assert made.ids["av1-grid-crf30"] in html


def test_an_unknown_run_is_an_error_with_its_line(built: SimpleNamespace) -> None:
    with pytest.raises(UncitedNumber, match=r"site_src/notebook/x\.md:6"):
        prose.render(text('one\n\n{{ cite("nobody-00000000").score.total }}'), desk(built))


def test_an_unknown_field_is_an_error_with_its_line(built: SimpleNamespace) -> None:
    with pytest.raises(SiteError, match=r"x\.md:5, .*|x\.md:5: .*"):
        prose.render(text('one\n{{ recipe("conventional/baseline-fast").score.wisdom }}'), desk(built))


def test_a_recipe_without_a_run_makes_the_text_wait(built: SimpleNamespace) -> None:
    made = prose.render(text('{{ recipe("conventional/not-yet").bytes }}'), desk(built))
    assert made.waits_for == ("conventional/not-yet",)
    assert not made.html


def test_an_external_number_is_marked_and_needs_a_source() -> None:
    assert "external: a board" in cite.external(0.193, "a board")
    with pytest.raises(UncitedNumber):
        cite.external(0.193, " ")


def test_markdown_cannot_bring_in_markup_or_scripts(built: SimpleNamespace) -> None:
    html = rendered(built, "<script>x</script> [a](javascript:alert(1)) <img src=x onerror=y> **bold**")
    assert not re.search(r"<script|<img|href=\"javascript", html)
    assert "<strong>bold</strong>" in html


def test_a_record_text_can_write_neither_markdown_nor_html(built: SimpleNamespace) -> None:
    entry = built.book.main.entries[0]
    hostile = dict(entry.data) | {"verdict_reason": "**b** <i>x</i> [y](https://z)"}
    here = desk(built)
    here.figures = {}
    citation = cite.Branch(hostile, entry, "")
    here.cited[entry.id] = entry
    assert here.fill(here.slot(citation.verdict_reason)) == "**b** &lt;i&gt;x&lt;/i&gt; [y](https://z)"


def test_the_glossary_defines_each_word_once(tmp_path: Path) -> None:
    double = text("Rate\n: one\n\nRate\n: two\n")
    with pytest.raises(SiteError, match="defined once"):
        prose.glossary_terms(double)
    words = prose.glossary_terms(prose.read(SOURCE / "glossary.md", SOURCE))
    assert {"rate", "distortion", "grade", "axis", "frontier", "contract"} <= set(words)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_cited_numbers_compare_and_subtract_as_their_values(a: float, b: float) -> None:
    entry = object()
    first, second = cite.Cited(a, (entry,)), cite.Cited(b, (entry,))  # type: ignore[arg-type]
    assert (first < second) == (a < b)
    assert (first == second) == (a == b)
