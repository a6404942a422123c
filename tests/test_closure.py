"""The decoder closure: complete, minimal, and working on its own."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import closure
from lab.codecs import FAMILIES, REFUSED, get


def ours(path: Path) -> set[str]:
    """Top-level names that a file imports from this package, by a second, simpler reading."""
    return {line.split()[1] for line in path.read_text().splitlines() if line.startswith(("from lab", "import lab"))}


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_every_import_of_the_closure_lies_in_the_closure(family: str) -> None:
    files = get(family).runtime_files()
    names = {closure.relative_name(path) for path in files}
    assert "lab/__init__.py" in names
    assert f"lab/codecs/{family}/decode.py" in names
    for path in files:
        for module in ours(path):
            file = module.replace(".", "/")
            assert f"{file}.py" in names or any(name.startswith(f"{file}/") for name in names), (path.name, module)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_nothing_that_encodes_trains_or_scores_is_shipped(family: str) -> None:
    names = {closure.relative_name(path) for path in get(family).runtime_files()}
    assert not {name for name in names if name.endswith(("encode.py", "encoders.py", "prefilter.py", "recipe.py"))}
    assert not {name for name in names if name.startswith(("lab/evaluator", "lab/training", "lab/cli", "lab/site"))}


def test_the_closure_decodes_in_a_process_that_has_nothing_else(tmp_path: Path) -> None:
    for path in get("conventional").runtime_files():
        target = tmp_path / closure.relative_name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from lab.codecs.conventional.decode import decode\n"
        "from lab.errors import BitstreamError\n"
        "import lab\n"
        "assert lab.__file__.startswith(sys.argv[1]), lab.__file__\n"
        "try: next(decode(bytes(9)))\n"
        "except BitstreamError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "refused", done.stderr


def test_imports_for_type_checkers_only_are_not_followed() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lab.recipe\nelse:\n    import lab.errors"
    )
    found = [name.name for node in closure._running(tree) if isinstance(node, ast.Import) for name in node.names]
    assert found == ["lab.errors"]


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"lab\.codecs\.absent"):
        closure.closure("lab.codecs.absent.decode")
