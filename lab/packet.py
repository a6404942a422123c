"""The submission packet: an archive, what inflates it, and the evidence, complete in one folder.

    archive.zip                 the bytes that are charged
    inflate.sh                  the judge's entry point: inflate.sh ARCHIVE_DIR INFLATED_DIR NAMES_FILE
    runtime/                    the decoder closure, nothing else
    requirements.txt            what the runtime imports, with the versions that were used
    report.txt evaluation.json anatomy.json recipe.toml pairs.csv      the evidence, once there is some
    README.md manifest-sha256.txt

The runtime is copied from the package, so the code that a judge runs is the code that the tests ran. A package's
`__init__.py` is shipped empty: it may import more than the decoder needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import archive, custody
from lab.errors import DigestMismatch, PacketError

MANIFEST = "manifest-sha256.txt"
RUNTIME = "runtime"

INFLATE_SH = """\
#!/usr/bin/env bash
# inflate.sh ARCHIVE_DIR INFLATED_DIR NAMES_FILE: writes INFLATED_DIR/<stem>.raw for every line of NAMES_FILE.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec "${PYTHON:-python3}" -s "$here/runtime/inflate.py" "$1" "$2" "$3"
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
    """A decoder closure as it is shipped: relative name -> content, under `runtime/`."""

    family: str
    files: Mapping[str, bytes]
    requirements: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Digest of the runtime tree together with its entry point."""
        return custody.sha256_tree([*self.files.items(), ("inflate.sh", INFLATE_SH.encode())])

    @property
    def n_bytes(self) -> int:
        """Bytes of every script that inflating runs: what the rule-faithful rate adds to the archive."""
        return sum(map(len, self.files.values())) + len(INFLATE_SH.encode())


def runtime(family: str, closure: tuple[Path, ...], requirements: tuple[str, ...]) -> Runtime:
    """The runtime tree of a family.

    Args:
        closure: files of this package that the decoder needs.
        requirements: distribution names that it imports.

    Raises:
        PacketError: a file lies outside the package.
    """
    package = Path(__file__).resolve().parent
    files: dict[str, bytes] = {"inflate.py": INFLATE_PY.format(family=family).encode()}
    for path in closure:
        try:
            relative = path.resolve().relative_to(package)
        except ValueError:
            raise PacketError(f"runtime of {family}", expected="files of the package", found=path.name) from None
        for folder in relative.parents:
            files[f"lab/{folder / '__init__.py'}"] = b""
        if relative.name != "__init__.py":
            files[f"lab/{relative.as_posix()}"] = path.read_bytes()
    versions = custody.versions(requirements)
    pinned = tuple(f"{name}=={versions[name]}" if name in versions else name for name in requirements)
    return Runtime(family=family, files=files, requirements=pinned)


def build(target: Path, payload: bytes, decoder: Runtime, *, title: str) -> Path:
    """Write a packet without evidence into a new folder, complete or not at all.

    Raises:
        PacketError: the folder exists.
    """
    if target.exists():
        raise PacketError(
            f"packet {target.name}", expected="a new folder", found="one that exists", fix="choose another -o"
        )
    draft = target.with_name(f".{target.name}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(parents=True)
    try:
        (draft / "archive.zip").write_bytes(archive.write(payload))
        (draft / "inflate.sh").write_text(INFLATE_SH, encoding="utf-8")
        (draft / "inflate.sh").chmod(0o755)
        for name, content in decoder.files.items():
            path = draft / RUNTIME / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (draft / "requirements.txt").write_text("".join(f"{line}\n" for line in decoder.requirements), encoding="utf-8")
        (draft / "README.md").write_text(_readme(title), encoding="utf-8")
        seal(draft)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def runtime_of(packet: Path) -> Runtime:
    """The runtime tree that lies in a packet.

    Raises:
        PacketError: there is none.
    """
    root = packet / RUNTIME
    if not root.is_dir():
        raise PacketError(f"packet {packet.name}", expected="a folder runtime/", found="none")
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return Runtime(family="", files=files, requirements=())


def seal(packet: Path) -> None:
    """Write manifest-sha256.txt over every other file of a packet; `sha256sum -c` reads it."""
    lines = [
        f"{custody.sha256_file(path)}  {path.relative_to(packet).as_posix()}\n"
        for path in sorted(packet.rglob("*"))
        if path.is_file() and path.name != MANIFEST and "__pycache__" not in path.parts
    ]
    (packet / MANIFEST).write_text("".join(lines), encoding="utf-8")


def check_manifest(packet: Path) -> int:
    """How many files agree with the manifest: all of them.

    Raises:
        PacketError: no manifest, an unlisted or a missing file.
        DigestMismatch: a file differs.
    """
    path = packet / MANIFEST
    if not path.is_file():
        raise PacketError(f"packet {packet.name}", expected=MANIFEST, found="nothing there")
    listed: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    present = {
        item.relative_to(packet).as_posix()
        for item in packet.rglob("*")
        if item.is_file() and item != path and "__pycache__" not in item.parts
    }
    if present != set(listed):
        odd = sorted(present ^ set(listed))
        raise PacketError(
            f"packet {packet.name}", expected="exactly the files of its manifest", found=", ".join(odd)[:300]
        )
    for name, digest in sorted(listed.items()):
        found = custody.sha256_file(packet / name)
        if found != digest:
            raise DigestMismatch(f"packet file {name}", expected=f"sha256 {digest[:16]}…", found=f"{found[:16]}…")
    return len(listed)


def _readme(title: str) -> str:
    return f"""# Submission packet: {title}

Check every byte, install what the decoder imports, inflate:

    sha256sum -c {MANIFEST}
    python3 -m pip install -r requirements.txt
    mkdir -p archive inflated && unzip -o archive.zip -d archive
    echo 0.mkv > names.txt
    ./inflate.sh archive inflated names.txt

`inflated/0.raw` then holds uint8 RGB frames in display order, C order, without a header. The decoder is `runtime/`; it
reads the archive and nothing else. `evaluation.json`, where present, names the digest of that raw file and the score.
"""
