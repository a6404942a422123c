"""The runtime tree of a packet: the decoder closure as it is shipped, its entry point, and one digest over both.

    inflate.sh                  the judge's entry point: inflate.sh ARCHIVE_DIR INFLATED_DIR NAMES_FILE
    runtime/inflate.py          reads the payload, calls the decoder, writes raw frames
    runtime/lab/...             the closure, copied from the package: what a judge runs is what the tests ran

A package's `__init__.py` is shipped empty: it may import more than the decoder needs. Trees of recorded runs are kept
in the ledger by their digest, so that a packet can be built again after the package has moved on.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import archive, custody
from lab.closure import closure
from lab.errors import PacketError

FOLDER = "runtime"
ENTRY = "inflate.sh"
# What a judge's machine has anyway; a decoder that imports more says so in its packet.
USUAL = ("numpy", "numba", "torch")
# What lies beside the runtime in a submission folder: the archive, its contents, and what the evaluation wrote.
_NO_RUNTIME = {ENTRY, "archive.zip", "archive", "inflated", "report.txt", "pairs.csv", "__pycache__"}

INFLATE_SH = """\
#!/usr/bin/env bash
# inflate.sh ARCHIVE_DIR INFLATED_DIR NAMES_FILE: writes INFLATED_DIR/<stem>.raw for every line of NAMES_FILE.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$2"
exec "${PYTHON:-python3}" -B -s "$here/runtime/inflate.py" "$1" "$2" "$3"
"""

INFLATE_PY = '''\
"""Inflate an archive: one stored payload in, raw RGB frames out (uint8, N x H x W x 3, no header)."""

import sys
from pathlib import Path

from lab.codecs.{family}.decode import decode

archive_dir, inflated_dir, names_file = map(Path, sys.argv[1:4])
for line in names_file.read_text(encoding="utf-8").split():
    stem = Path(line).stem
    payload = (archive_dir / f"{{stem}}.bin").read_bytes()
    with (inflated_dir / f"{{stem}}.raw").open("wb") as out:
        for pair in decode(payload):
            out.write(pair.tobytes())
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A decoder closure as it is shipped: relative name -> content, under `runtime/`, and the entry point beside it."""

    family: str
    files: Mapping[str, bytes]
    requirements: tuple[str, ...]
    entry: bytes = INFLATE_SH.encode()

    @property
    def sha256(self) -> str:
        """Digest of the runtime tree together with its entry point."""
        return custody.sha256_tree([*self.files.items(), (ENTRY, self.entry)])

    @property
    def n_bytes(self) -> int:
        """Bytes of every script that inflating runs: what the rule-faithful rate adds to the archive."""
        return sum(map(len, self.files.values())) + len(self.entry)


def of_closure(family: str, paths: Iterable[Path], requirements: Iterable[str] | None = None) -> Runtime:
    """The runtime tree of a family, from the files of its closure.

    Args:
        paths: files of this package that the decoder needs.
        requirements: distributions that it imports (default: read from the imports themselves).

    Raises:
        PacketError: a file lies outside the package.
    """
    package = Path(__file__).resolve().parent
    files: dict[str, bytes] = {"inflate.py": INFLATE_PY.format(family=family).encode()}
    for path in paths:
        try:
            relative = path.resolve().relative_to(package)
        except ValueError:
            raise PacketError(f"runtime of {family}", expected="files of the package", found=path.name) from None
        for folder in relative.parents:
            files[f"lab/{folder / '__init__.py'}"] = b""
        if relative.name != "__init__.py":
            files[f"lab/{relative.as_posix()}"] = path.read_bytes()
    files = dict(sorted(files.items()))
    return Runtime(
        family=family, files=files, requirements=imports(files) if requirements is None else tuple(requirements)
    )


def of_family(family: str) -> Runtime:
    """The runtime tree of a family as it stands in this checkout; nothing of the bench is imported.

    Raises:
        PacketError: no such family.
    """
    if not family.isidentifier():
        raise PacketError(f"runtime of {family[:60]!r}", expected="the name of a codec family")
    try:
        return of_closure(family, closure(f"lab.codecs.{family}.decode"))
    except ValueError as error:
        raise PacketError(f"runtime of {family}", expected="a family with a decode.py", found=str(error)) from None


def of_packet(packet: Path) -> Runtime:
    """The runtime tree that lies in a packet.

    Raises:
        PacketError: there is none.
        CustodyError: it holds more than regular files.
    """
    root, entry = packet / FOLDER, packet / ENTRY
    if not root.is_dir() or not entry.is_file() or entry.is_symlink():
        raise PacketError(f"packet {packet.name}", expected=f"a folder {FOLDER}/ and a file {ENTRY}", found="none")
    files = {name: path.read_bytes() for name, path in custody.tree(root).items()}
    return Runtime(family="", files=files, requirements=(), entry=entry.read_bytes())


def of_submission(folder: Path) -> Runtime:
    """What inflates a folder: the runtime of a packet of ours, else every file that was made for the contest's flow.

    The archive, what it was unpacked and inflated to, and reports are no part of a runtime.

    Raises:
        PacketError: no inflate.sh.
        CustodyError: it holds more than regular files.
    """
    if (folder / FOLDER).is_dir():
        return of_packet(folder)
    entry = folder / ENTRY
    if not entry.is_file() or entry.is_symlink():
        raise PacketError(f"submission {folder.name}", expected=f"a file {ENTRY}", found="none")
    files: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        if path.name in _NO_RUNTIME:
            continue
        found = custody.tree(path) if path.is_dir() and not path.is_symlink() else {"": path}
        for name, file in found.items():
            if file.is_symlink() or not file.is_file():
                raise PacketError(f"submission {folder.name}", expected="regular files", found=file.name)
            files[f"{path.name}/{name}" if name else path.name] = file.read_bytes()
    return Runtime(family="", files=files, requirements=(), entry=entry.read_bytes())


def pack(tree: Runtime) -> bytes:
    """A runtime tree as one archive, stored, the same bytes for the same tree."""
    return archive.stored(dict(sorted([*tree.files.items(), (ENTRY, tree.entry)])))


def unpack(path: Path, sha256: str, family: str) -> Runtime:
    """The runtime tree of an archive that `pack` wrote; its requirements are for `imports` to read.

    Raises:
        PacketError: not such an archive, or not the tree of this digest.
    """
    files = {member.name: member.content for member in archive.read(path)}
    entry = files.pop(ENTRY, b"")
    tree = Runtime(family=family, files=dict(sorted(files.items())), requirements=(), entry=entry)
    if tree.sha256 != sha256:
        raise PacketError(path.name, expected=f"the runtime tree {sha256[:16]}…", found=f"{tree.sha256[:16]}…")
    return tree


def imports(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Distributions that a runtime tree imports beyond Python's own library, sorted.

    Raises:
        PacketError: a file is no Python.
    """
    found: set[str] = set()
    for name, content in files.items():
        if not name.endswith(".py"):
            continue
        try:
            nodes = list(ast.walk(ast.parse(content)))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise PacketError(f"runtime/{name}", expected="Python", found=str(error)[:200]) from None
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return tuple(sorted(found - set(sys.stdlib_module_names) - {"lab", "__future__"}))


def pin(requirements: Iterable[str], versions: Mapping[str, str]) -> tuple[str, ...]:
    """Requirements with exact versions, where they are known; local build tags are no part of a version."""
    return tuple(f"{name}=={versions[name].partition('+')[0]}" if name in versions else name for name in requirements)
