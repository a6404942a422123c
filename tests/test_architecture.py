"""The shape of the house, stated once and walked: who may import whom, and how long a module may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lab"

# room -> rooms that it may import. The book comes first; it never reaches a bench room.
BOOK = {
    "errors": set(),
    "contract": {"errors"},
    "custody": {"errors"},
    "bitstream": {"errors"},
    "recipe": {"errors"},
    "archive": {"bitstream", "errors"},
    "closure": {"errors"},
    "report": {"contract", "errors"},
    "evidence": {"contract", "custody", "errors"},
    "runtime": {"archive", "closure", "custody", "errors"},
    "relocation": {"archive", "custody", "errors"},
    "fields": {"errors"},
    "run": {"contract"},
    "schema": {"contract", "errors", "fields"},
    "store": {"errors"},
    "shares": set(),
    "facts": {
        "archive",
        "contract",
        "custody",
        "errors",
        "evidence",
        "recipe",
        "relocation",
        "report",
        "runtime",
        "schema",
    },
    "states": {"contract", "errors", "schema", "store"},
    "ledger": {
        "contract",
        "custody",
        "errors",
        "evidence",
        "facts",
        "fields",
        "run",
        "runtime",
        "schema",
        "states",
        "store",
    },
    "audit": {"contract", "custody", "errors", "evidence", "facts", "ledger", "runtime", "schema", "traces"},
    "negative": {"contract", "errors", "fields", "ledger", "schema", "store"},
    "hypotheses": {"contract", "errors", "fields", "ledger", "negative", "schema", "store"},
    "projection": {"contract", "errors", "hypotheses", "ledger", "negative", "schema"},
    "export": {"errors", "ledger", "schema"},
    "walls": set(),
    "replay": {"archive", "custody", "errors", "walls"},
    "documents": {"contract", "custody", "errors", "ledger", "runtime"},
    "packet": {"archive", "comply", "contract", "custody", "documents", "errors", "facts", "ledger", "runtime"},
    "comply": {
        "archive",
        "contract",
        "custody",
        "errors",
        "evidence",
        "facts",
        "relocation",
        "report",
        "runtime",
        "schema",
    },
    "verdict": {"comply"},
    "terms": {"errors"},
    "traces": set(),
    "external": {"archive", "contract", "custody", "errors", "evidence", "ledger"},
    "foreign": {"archive", "bitstream", "custody", "errors"},
}
SITE_MAY = set(BOOK)
BENCH = {
    "video": {"errors"},
    "entropy": {"bitstream", "errors"},
    "evaluator": {"contract", "custody", "errors", "video"},
    "drive": {"contract", "custody", "errors", "evaluator", "video"},
    "training": {"bitstream", "contract", "custody", "entropy", "errors", "evaluator", "recipe", "video"},
    "codecs": {
        "bitstream",
        "closure",
        "contract",
        "custody",
        "drive",
        "entropy",
        "errors",
        "evaluator",
        "recipe",
        "training",
        "video",
    },
}
# Rooms that may reach everything: they tie bench and book together.
TOP = {
    "answers",
    "cli",
    "experiment",
    "judge",
    "preflight",
    "record",
    "refresh",
    "repack",
    "search",
    "__main__",
    "__init__",
}
HEAVY = {"torch", "numba", "numpy", "av"}
LINE_LIMIT = 400


def rooms_imported(path: Path) -> set[str]:
    """Rooms of this package that a file imports anywhere, inside functions as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "lab":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("lab.")}
    return found


def modules() -> list[tuple[str, Path]]:
    """(room, file) of every module."""
    return [
        (path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_a_room_imports_only_what_its_row_allows(room: str, path: Path) -> None:
    if room in TOP:
        return
    table = {**BOOK, **BENCH, "site": SITE_MAY, "contracts": set()}
    assert room in table, f"{room} has no row in the table of rooms"
    assert rooms_imported(path) - {room} <= table[room]


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_a_module_is_one_thing(room: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINE_LIMIT


def test_the_book_loads_without_the_bench() -> None:
    """A fresh interpreter that imports every book room has touched neither torch nor numpy nor video code."""
    rooms = ", ".join(f"lab.{room}" for room in BOOK if (PACKAGE / f"{room}.py").exists() or (PACKAGE / room).is_dir())
    code = f"import sys, {rooms}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import lab; print(sorted(set(sys.modules) - before - {'lab'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_constants_of_the_contest_are_written_once() -> None:
    """The official source size and frame size stand in the contract, nowhere in code."""
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, int):
                assert node.value not in (37_545_489, 1164, 874), f"{path.name} line {node.lineno}"
