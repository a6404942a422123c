"""Reports: what we write reads back to the last digit, and a text that is no report is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper import a_contract

from lab import report
from lab.contract import Contract
from lab.errors import EvaluationError

# The public evaluator's own layout, two decimals in the total.
OFFICIAL = """=== Evaluation config ===
  device: cpu
=== Evaluation results over 600 samples ===
  Average PoseNet Distortion: 0.00003327
  Average SegNet Distortion: 0.00057570
  Submission file size: 178,981 bytes
  Original uncompressed size: 37,545,489 bytes
  Compression Rate: 0.00476704
  Final score: 100*segnet_dist + √(10*posenet_dist) + 25*rate = 0.19
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path_factory.mktemp("ledgers"))


@given(st.floats(0, 1), st.floats(0, 1e6), st.integers(1, 1 << 40))
def test_a_report_reads_back_to_the_last_digit(made: Contract, segnet: float, posenet: float, n_bytes: int) -> None:
    score = made.score(segnet=segnet, posenet=posenet, archive_bytes=n_bytes)
    text = report.write(
        made, score, segnet=segnet, posenet=posenet, archive_bytes=n_bytes, axis="cpu", archive_sha256="ab" * 32
    )
    read = report.read(text)
    assert (read["segnet"], read["posenet"], read["archive_bytes"]) == (segnet, posenet, n_bytes)
    assert read["total"] == pytest.approx(score.total, abs=1e-11)
    assert read["n_pairs"] == made.n_pairs
    assert report.digest(text) == "ab" * 32
    assert report.precision(text) == pytest.approx(0.5e-12)


def test_the_public_evaluators_report_is_read_with_its_precision() -> None:
    read = report.read(OFFICIAL)
    assert (read["n_pairs"], read["archive_bytes"], read["total"]) == (600, 178_981, 0.19)
    assert report.precision(OFFICIAL) == 0.005
    assert report.digest(OFFICIAL) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Final score: 0.1",
        OFFICIAL + OFFICIAL,
        OFFICIAL + "  Final score: x = 0.10\n",
        OFFICIAL.replace("178,981", ",,,"),
        OFFICIAL.replace("0.00003327", "nan"),
        OFFICIAL.replace("0.00003327", "-1"),
        OFFICIAL + " " * 70_000,
    ],
)
def test_a_text_that_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"report\.txt"):
        report.read(text)


@given(st.text(max_size=400))
def test_any_text_is_figures_or_refused(text: str) -> None:
    for candidate in (text, OFFICIAL.replace("0.19", text), OFFICIAL.replace("\n", text)):
        try:
            assert all(value >= 0 for value in report.read(candidate).values())
        except EvaluationError:
            continue
