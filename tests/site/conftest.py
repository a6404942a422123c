"""One synthetic ledger and one built site, shared by the tests of a worker."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import shelf

from lab.site import check, clips, data, intake, interactive, leaks, plan, render, search, tables

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES, SOURCE = ROOT / "templates", ROOT / "site_src"


class Built(SimpleNamespace):
    """A site in memory, with a short representation: a failed assertion would print all of it, gigabytes."""

    def __repr__(self) -> str:
        return f"<a site of {len(self.tree)} files>"


def build(ledgers: Path, cache: Path, source: Path = SOURCE) -> SimpleNamespace:
    """What build.py does up to writing: book, plan, checked tree."""
    shelves = intake.load(source, ledgers)
    media = clips.prepare(shelves, cache, lambda *_: None)
    script = interactive.script()
    planned = plan.make(
        shelves,
        media,
        partial(render.figure_makers, TEMPLATES),
        script,
        tabled=lambda: tables.files(shelves) | tables.parquets(shelves),
    )
    tree = render.render(planned, TEMPLATES)
    tree |= search.index(tree, cache)
    gate = leaks.Gate(shipped={path: data.digest_of(content) for path, content in script.items()})
    kept, checked = in_memory(tree, gate)
    return Built(book=shelves, plan=planned, tree=kept, files=checked.files, media=media, gate=gate)


def in_memory(
    tree: Mapping[str, data.Content | data.Seal], gate: leaks.Gate
) -> tuple[dict[str, data.Content], check.Checked]:
    """A tree checked and made, with what is known of it; files that lie on disk stay there."""
    checked = check.check(tree, gate, lambda _, content: content)
    made = ((name, tree[name], one.placed) for name, one in checked.files.items())
    return {name: content if isinstance(content, Path) else placed for name, content, placed in made}, checked


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> shelf.Made:
    """A synthetic ledger; nobody changes it."""
    return shelf.make(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="session")
def built(made: shelf.Made, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The site of that ledger, in memory."""
    return build(made.ledgers, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small(tmp_path: Path) -> shelf.Made:
    """A ledger of three runs without clips, to be broken by a test."""
    return shelf.make(tmp_path, runs=shelf.RUNS[:3], clips=0)
