"""What verbs share: the table of a result, JSON output, progress on long work."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

Verb = Callable[[argparse.Namespace], int | None]


def verb(
    commands: Any, name: str, call: Verb, *, help: str, example: str, json_output: bool = False
) -> argparse.ArgumentParser:
    """Add one verb with its help and an example; returns its parser."""
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=help, epilog=f"example: {example}"
    )
    added.set_defaults(call=call)
    if json_output:
        added.add_argument("--json", action="store_true", help="print plain data instead of a table")
    return added


def group(commands: Any, name: str, *, help: str) -> Any:
    """Add a verb with sub-verbs; returns where they are added."""
    added = commands.add_parser(name, help=help, description=help)
    return added.add_subparsers(dest=f"{name}_verb", metavar="VERB", required=True)


def say(text: str) -> None:
    """One line of result."""
    sys.stdout.write(text + "\n")


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Rows as an aligned table, or all of their fields as JSON."""
    if as_json:
        say(json.dumps(list(rows), indent=1, sort_keys=True, ensure_ascii=False))
        return
    table = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = bool(rows) and all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A monitor that draws one bar per stage on a terminal, or a line per stage elsewhere.

    What follows " | " in a stage's text changes from call to call, and is shown beside it.
    """
    if not sys.stderr.isatty():
        seen: dict[str, float] = {}

        def plain(stage: str, done: int, total: int) -> None:
            now = time.monotonic()
            name, _, note = stage.partition(" | ")
            if name not in seen or done >= total > 0 or now - seen[name] > 30:
                seen[name] = now
                sys.stderr.write(f"  {name}: {done:,} of {total:,}{', ' + note if note else ''}\n")

        yield plain
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def drawn(stage: str, done: int, total: int) -> None:
            name, _, note = stage.partition(" | ")
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total, note="")
            bars.update(tasks[name], completed=done, total=total, note=note)

        yield drawn
