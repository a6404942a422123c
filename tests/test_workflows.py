"""The workflow files run verbs that exist, on the machines that they promise, and put no input into a shell line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lab import cli

FOLDER = Path(__file__).resolve().parents[1] / ".github" / "workflows"
EVALUATE = (FOLDER / "evaluate.yml").read_text(encoding="utf-8")
# A call of the verb, with variables of the shell and of the workflow as they stand.
CALLS = re.findall(r"\.venv/bin/lab ([^\n#]+)", EVALUATE)


def test_the_evaluation_runs_on_the_contest_s_class_of_processor() -> None:
    assert re.search(r"^    runs-on: ubuntu-latest$", EVALUATE, re.MULTILINE)
    (measured,) = [call for call in CALLS if call.startswith("evaluate ")]
    words = shlex.split(measured)
    assert words[words.index("--contract") + 1] == "comma-2026" and words[words.index("--axis") + 1] == "cpu"
    assert [call.split()[0] for call in CALLS] == ["contract", "packet", "evaluate"]


@pytest.mark.parametrize("call", CALLS)
def test_every_verb_of_the_evaluation_parses(call: str) -> None:
    words = ["2" if word == "$(nproc)" else word for word in shlex.split(call)]
    assert cli.parser().parse_args(words).call


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_no_input_is_pasted_into_a_shell_line(path: Path) -> None:
    """Inputs reach a step by its environment; pasted into `run`, they would be code."""
    text = path.read_text(encoding="utf-8")
    steps = re.split(r"^ +- ", text, flags=re.MULTILINE)
    runs = [step[step.index("run:") :] for step in steps if "run:" in step]
    assert runs and not [step for step in runs if "${{" in step]
    assert re.search(r"^permissions:\n  contents: read$", text, re.MULTILINE)
