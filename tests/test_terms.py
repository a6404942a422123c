"""The terminology guard: each word and each claim that may not stand is found, with its path and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import cli, terms
from lab.errors import LabError

ROOT = Path(__file__).resolve().parents[1]

BAD = {
    "expansion": "TAC stands for Task-Aware Codec here",
    "tautology": "a TAC codec of task-aware compression",
    "internal-alias": "the pact pipeline",
    "one-engine": "in comma_lab this is done",
    "bare-heading": "## TAC",
    "post-filter": "a learned postfilter",
    "bitstream": "the bit stream holds",
    "bd-rate": "a BD rate of minus four",
    "rate-distortion": "the rate distortion curve",
    "side-information": "carried as side info",
    "quantization-step": "the quantizer step grows",
    "lambda": "lambda_ weighs the rate",
    "implicit": "an implicit neural network",
    "distortion": "a PoseNet loss of 0.03 remains",
    "archive": "the zip bitstream",
    "grade": "this run has grade B",
    "advisory-axis": "the macOS score is lower",
    "proxy": "a proxy score of 0.2",
    "mixed-axes": "averaged over both axes",
    "over-claim": "state-of-the-art results",
    "promise": "a live leaderboard",
    "authority": "the clips prove it",
}
GOOD = (
    "task-aware compression (TAC) is also called coding for machines",
    "a post-filter, a bitstream in an archive, BD-rate, side information, rate-distortion, lmbda",
    "a PoseNet distortion of 0.03; the training loss falls",
    "grade A++, grade A-negative, grade A, grade empirical",
    "the macOS score is advisory only",
    "an impact, a compact code, the exact archive",
    "see [the list](pact/comma_lab.html) and `postfilter` in `lambda_`",
    'as somebody wrote: "state of the art" (terms: quoted)',
    "loss of precision is what quantization costs",
)


@pytest.mark.parametrize("rule", sorted(BAD))
def test_a_word_that_may_not_stand_is_found_by_its_rule_and_line(rule: str) -> None:
    text = f"first line\n\ntask-aware compression\n{BAD[rule]}\n"
    hits = list(terms.prose(text, "page.md"))
    assert rule in {hit.rule for hit in hits}
    assert {hit.line for hit in hits} == {4}
    assert str(hits[0]).startswith("page.md:4: ")


def test_every_rule_has_an_example() -> None:
    assert {rule.name for rule in terms.RULES} == set(BAD)


@pytest.mark.parametrize("claim", [
    "the smallest in the world", "a world record", "revolutionary", "provably optimal", "visually lossless",
    "unprecedented", "this clearly wins", "SOTA", "the best ever made",
])  # fmt: skip
def test_claims_that_nobody_here_may_make(claim: str) -> None:
    assert [hit.rule for hit in terms.prose(claim, "page.md")] == ["over-claim"]


@pytest.mark.parametrize("text", GOOD)
def test_the_fields_own_words_pass(text: str) -> None:
    assert not list(terms.prose(text, "page.md"))


def test_an_acronym_is_expanded_on_its_page() -> None:
    (hit,) = terms.prose("one\n\nTAC works\n", "page.md")
    assert (hit.rule, hit.line) == ("first-use", 3)
    assert not list(terms.prose("Task-aware\ncompression (TAC)\n", "page.md"))
    assert not list(terms.prose("the stack and TACTICS\n", "page.md"))


def test_docstrings_are_read_and_code_is_not() -> None:
    code = '"""One.\n\nA postfilter.\n"""\n\nx = "postfilter"  # postfilter\n\n\ndef f():\n    """The bit stream."""\n'
    assert [(hit.line, hit.rule) for hit in terms.docstrings(code, "x.py")] == [(3, "post-filter"), (10, "bitstream")]
    assert [hit.rule for hit in terms.docstrings("def (", "x.py")] == ["unreadable"]


def test_this_repository_keeps_its_own_words() -> None:
    assert [str(hit) for hit in terms.check(ROOT)] == []


def checkout(root: Path) -> Path:
    """A small tree that passes."""
    for name, phrases in terms.REQUIRED.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("task-aware compression\n" + "\n".join(phrases) + "\n")
    (root / "lab").mkdir()
    (root / "lab" / "x.py").write_text('"""A thing."""\n')
    (root / "templates").mkdir()
    return root


def test_the_verb_reports_path_and_line_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path)
    monkeypatch.chdir(root)
    assert cli.main(["terms", "--strict"]) == 0
    (root / "templates" / "page.html").write_text("<p>\nstay tuned\n")
    (root / "lab" / "x.py").write_text('"""A thing.\n\nA postfilter."""\n')
    assert cli.main(["terms"]) == 1
    out = capsys.readouterr().out
    assert "templates/page.html:2: error: promise" in out
    assert "lab/x.py:3: warning: post-filter" in out
    (root / "templates" / "page.html").unlink()
    assert cli.main(["terms"]) == 0
    assert cli.main(["terms", "--strict"]) == 1
    capsys.readouterr()
    assert cli.main(["terms", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == "lab/x.py"


def test_a_phrase_that_must_stand_is_missed(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / "README.md").write_text("task-aware compression\n")
    assert {hit.rule for hit in terms.check(root)} == {"required"}
    (root / "site_src" / "glossary.md").unlink()
    assert any(hit.path == "site_src/glossary.md" for hit in terms.check(root))


def test_a_guard_that_looks_at_nothing_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"README\.md"):
        terms.check(tmp_path)


def test_odd_files_are_read_without_harm(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / "templates" / "x.html").write_bytes(b"\xff\xfe" + b"<" * 100_000)
    (root / "templates" / "y.html").symlink_to("/etc/hostname")
    assert not terms.check(root)
