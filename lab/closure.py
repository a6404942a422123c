"""The decoder closure of a family: which files of this package a packet must ship, found by reading imports.

The walk starts at the family's `decode.py` and follows every import of this package, also those inside functions,
but not those under `if TYPE_CHECKING`. Nothing is imported.

The card of a family (`__init__.py`) knows encoders and recipes, so it is not part of the closure: of all packages only
`lab/__init__.py` is shipped, which imports nothing. The other folders work without one, as namespace packages inside
`lab`. A packet therefore unpacks to

    runtime/lab/__init__.py
    runtime/lab/errors.py, lab/bitstream.py, lab/video/..., lab/codecs/<family>/decode.py, ...

and `from lab.codecs.<family>.decode import decode` works with `runtime` first on the path.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent


def closure(module: str) -> tuple[Path, ...]:
    """Every file that importing `module` needs, sorted, the package's own `__init__.py` included.

    Args:
        module: dotted name inside this package, such as "lab.codecs.conventional.decode".

    Raises:
        ValueError: no such module, or one that needs the `__init__.py` of a package that also holds encoder code.
    """
    found: dict[str, Path] = {PACKAGE.name: PACKAGE / "__init__.py"}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _file(name)
        waiting += _imports(found[name], name)
    return tuple(sorted(set(found.values())))


def relative_name(path: Path) -> str:
    """The POSIX name of a closure file inside a packet's runtime folder, such as "lab/errors.py"."""
    return path.relative_to(ROOT).as_posix()


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise ValueError(f"no module {module!r} in this package")


def _exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _imports(path: Path, module: str) -> Iterator[str]:
    """Modules of this package that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                folder = folder[: len(folder) - node.level + 1]
                base = ".".join(folder + ([base] if base else []))
            if not _is_ours(base):
                continue
            for alias in node.names:
                # `from lab.video import colour` names a module; `from lab.errors import Truncated` a thing inside one.
                inner = f"{base}.{alias.name}"
                yield inner if _exists(inner) else base


def _is_ours(module: str) -> bool:
    return module == PACKAGE.name or module.startswith(PACKAGE.name + ".")


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs; the body of `if TYPE_CHECKING` does not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from _running(other)
            continue
        yield child
        yield from _running(child)
