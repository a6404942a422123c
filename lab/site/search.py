"""The search index over prose: what pagefind makes of the rendered pages, as files of the tree.

Only pages whose main part is marked `data-pagefind-body` are indexed; runs are found in their tables. Of what pagefind
writes, its ready-made interface is left out: the page `/search/` has its own.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from lab import custody
from lab.errors import SiteError
from lab.site.data import Content, Seal

FOLDER = "pagefind/"
MARK = b"data-pagefind-body"
TIME_LIMIT_S = 300
_ENTRY = "pagefind-entry.json"
_NEEDED = ("pagefind.js", "pagefind-worker.js", _ENTRY, "wasm.en.pagefind", "wasm.unknown.pagefind")
_BUILT_IN = re.compile(rb"/(?:home|root|Users|work|tmp|opt)/[\w.-]+/")
_KINDS = (".pf_meta", ".pf_index", ".pf_fragment")


def available() -> bool:
    """Is pagefind installed?"""
    return find_spec("pagefind") is not None and find_spec("pagefind_bin") is not None


def index(tree: Mapping[str, Content | Seal], cache: Path) -> dict[str, Content]:
    """The index of a tree's marked pages; empty where pagefind is not installed or nothing is marked.

    Args:
        cache: folder that keeps indexes by the digest of what they index.

    Raises:
        SiteError: pagefind failed.
    """
    with making(tree, cache) as made:
        return made()


@contextmanager
def making(tree: Mapping[str, Content | Seal], cache: Path) -> Iterator[Callable[[], dict[str, Content]]]:
    """The same, begun now in a process of its own; what is given waits for it. At the end of the block it is over.

    Pages that are made late are not searched.
    """
    pages = {name: content for name, content in tree.items() if isinstance(content, bytes) and name.endswith(".html")}
    pages = {name: html for name, html in pages.items() if MARK in html}
    if not pages or not available():
        yield dict
        return
    kept = cache / "search" / custody.sha256_tree(sorted(pages.items()))[:24]
    if (kept / _ENTRY).is_file():
        yield partial(_files, kept)
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        process = _begin(pages, Path(scratch))
        try:
            yield partial(_end, process, Path(scratch, "index"), kept)
        finally:
            process.kill()
            process.wait()


def _files(kept: Path) -> dict[str, Content]:
    found: dict[str, Content] = {}
    for path in sorted(kept.rglob("*")):
        name = path.relative_to(kept).as_posix()
        if path.is_file() and (name in _NEEDED or path.suffix in _KINDS):
            found[f"{FOLDER}{name}"] = path
    return found


def _begin(pages: Mapping[str, bytes], scratch: Path) -> subprocess.Popen[bytes]:
    from pagefind_bin import get_executable  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for name, html in pages.items():
        path = scratch / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(html)
    command = [get_executable(), "--silent", "--site", scratch / "pages", "--output-path", scratch / "index"]
    with (scratch / "said").open("wb") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)


def _end(process: subprocess.Popen[bytes], out: Path, kept: Path) -> dict[str, Content]:
    try:
        process.wait(TIME_LIMIT_S)
        said = out.with_name("said").read_text(errors="replace").strip()[-300:] if process.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"no end after {TIME_LIMIT_S} s"
    if said or process.returncode or not (out / _ENTRY).is_file():
        raise SiteError("search index", expected="pagefind to index the pages", found=said or "no index")
    for path in out.glob("wasm.*.pagefind"):
        path.write_bytes(_without_paths(path.read_bytes()))
    if not kept.is_dir():
        out.rename(kept)
    return _files(kept)


def _without_paths(packed: bytes) -> bytes:
    """pagefind's WebAssembly without the folders of the machine that compiled it: texts of the same length in place."""
    raw = _BUILT_IN.sub(lambda found: b"." * len(found[0]), gzip.decompress(packed))
    return gzip.compress(raw, 9, mtime=0)
