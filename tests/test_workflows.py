"""The workflow files run verbs that exist, on the machines that they promise, and put no input into a shell line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lab import cli
from lab.site import leaks

FOLDER = Path(__file__).resolve().parents[1] / ".github" / "workflows"
EVALUATE = (FOLDER / "evaluate.yml").read_text(encoding="utf-8")
# A call of the verb, with variables of the shell and of the workflow as they stand.
CALLS = re.findall(r"\.venv/bin/lab ([^\n#]+)", EVALUATE)
DEPLOY = (FOLDER / "deploy.yml").read_text(encoding="utf-8")


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


def test_the_site_is_published_by_hand_or_by_a_tag_only_and_after_the_tests() -> None:
    begun = DEPLOY[DEPLOY.index("\non:") : DEPLOY.index("\npermissions:")]
    assert re.findall(r"^  (\w+):", begun, re.MULTILINE) == ["workflow_dispatch", "push"]
    assert 'tags: ["release-*"]' in begun and "branches" not in begun
    assert re.search(r"^  deploy:\n    needs: test\n", DEPLOY, re.MULTILINE)
    assert DEPLOY.index(".venv/bin/python build.py --check") < DEPLOY.index("make deploy")


def test_a_deployment_is_confirmed_by_digits_that_were_given_or_sends_nothing() -> None:
    """The shell line of the last step, run with a `make` that says what it was asked."""
    step = DEPLOY[DEPLOY.index("set -euo pipefail\n          case") :].partition("      - uses:")[0]
    script = 'make() { echo "$@"; }\n' + textwrap.dedent(" " * 10 + step)

    def asked(**environment: str) -> str:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.strip()

    by_hand = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
    tagged = {"GITHUB_REF": "refs/tags/release-0a1b2c3d", "GITHUB_REF_NAME": "release-0a1b2c3d", "DIGITS": ""}
    assert asked(**by_hand, DIGITS="") == "deploy CONFIRM=none"
    assert asked(**by_hand, DIGITS="12345678") == "deploy CONFIRM=12345678"
    assert asked(**tagged) == "deploy CONFIRM=0a1b2c3d"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_secrets_are_named_never_written_and_reach_one_step_by_its_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if "secrets." in line]
    assert all(re.fullmatch(r"([A-Z_]+): \$\{\{ secrets\.\1 \}\}", line) for line in lines)
    assert bool(lines) == (path.name == "deploy.yml")
    assert list(leaks.Gate().lines(text)) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_every_goal_and_program_of_a_workflow_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    makefile = (FOLDER.parents[1] / "Makefile").read_text(encoding="utf-8")
    for goal in re.findall(r"\bmake ([a-z-]+)", text):
        assert re.search(rf"^{goal}:.*## ", makefile, re.MULTILINE), goal
    for script, options in re.findall(r"(\S+\.py)((?: --[a-z]+)*)", text):
        helped = subprocess.run(
            [sys.executable, script, "--help"], cwd=FOLDER.parents[1], capture_output=True, text=True
        )
        assert all(option in helped.stdout for option in options.split())
    assert "@main" not in text and "@master" not in text
