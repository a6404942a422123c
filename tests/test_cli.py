"""The front door: every verb has help with an example; every failure is one clear line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lab import cli


def verbs(parser: argparse.ArgumentParser, path: str = "lab") -> list[tuple[str, argparse.ArgumentParser]]:
    """Every verb that can be called, with its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [found for name, below in action.choices.items() for found in verbs(below, f"{path} {name}")]
    return [(path, parser)]


@pytest.mark.parametrize(
    ("path", "parser"), verbs(cli.parser()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_verb_has_help_and_an_example(path: str, parser: argparse.ArgumentParser) -> None:
    assert parser.description
    assert parser.epilog and parser.epilog.startswith(f"example: {path}")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["contract", "show", "nowhere"], "contract 'nowhere'"),
        (["run", "conventional/nothing", "--contract", "minidrive"], "no such recipe"),
        (["ledger", "show", "no-such-run"], "expected one record"),
        (["anatomy", "no-such-archive.zip"], "no-such-archive.zip"),
        (["contract", "new", "Bad Name", "--video", "x.mp4"], "a name of a-z"),
    ],
)
def test_a_failure_is_one_line_and_status_one(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--ledgers", str(tmp_path), *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    assert len(captured.err.splitlines()) == 1


def test_usage_errors_leave_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["no-such-verb"])
    assert stopped.value.code == 2


def test_contracts_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["--ledgers", str(tmp_path), "contract", "list", "--json"]) == 0
    assert '"contract": "minidrive"' in capsys.readouterr().out
