"""The search index over prose: what pagefind makes of the rendered pages, as files of the tree.

Only pages whose main part is marked `data-pagefind-body` are indexed; runs are found in their tables. Of what pagefind
writes, its ready-made interface is left out: the page `/search/` has its own.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from lab import custody
from lab.errors import SiteError
from lab.site.data import Content, read

FOLDER = "pagefind/"
MARK = b"data-pagefind-body"
TIME_LIMIT_S = 300
_NEEDED = ("pagefind.js", "pagefind-worker.js", "pagefind-entry.json", "wasm.en.pagefind", "wasm.unknown.pagefind")
_BUILT_IN = re.compile(rb"/(?:home|root|Users|work|tmp|opt)/[\w.-]+/")
_KINDS = (".pf_meta", ".pf_index", ".pf_fragment")


def available() -> bool:
    """Is pagefind installed?"""
    return find_spec("pagefind") is not None and find_spec("pagefind_bin") is not None


def index(tree: Mapping[str, Content], cache: Path) -> dict[str, Content]:
    """The index of a tree's marked pages; empty where pagefind is not installed or nothing is marked.

    Args:
        cache: folder that keeps indexes by the digest of what they index.

    Raises:
        SiteError: pagefind failed.
    """
    pages = {name: read(tree[name]) for name in sorted(tree) if name.endswith(".html")}
    pages = {name: html for name, html in pages.items() if MARK in html}
    if not pages or not available():
        return {}
    kept = cache / "search" / custody.sha256_tree(pages.items())[:24]
    if not (kept / "pagefind-entry.json").is_file():
        _make(pages, kept)
    found: dict[str, Content] = {}
    for path in sorted(kept.rglob("*")):
        name = path.relative_to(kept).as_posix()
        if path.is_file() and (name in _NEEDED or path.suffix in _KINDS):
            found[f"{FOLDER}{name}"] = path
    return found


def _make(pages: Mapping[str, bytes], kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        source, out = Path(scratch, "pages"), Path(scratch, "index")
        for name, html in pages.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(html)
        command = [sys.executable, "-m", "pagefind", "--silent", "--site", str(source), "--output-path", str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)
            said = done.stderr.strip()[-300:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            said = f"no end after {TIME_LIMIT_S} s"
        if said or not (out / "pagefind-entry.json").is_file():
            raise SiteError("search index", expected="pagefind to index the pages", found=said or "no index")
        for path in out.glob("wasm.*.pagefind"):
            path.write_bytes(_without_paths(path.read_bytes()))
        if not kept.is_dir():
            out.rename(kept)


def _without_paths(packed: bytes) -> bytes:
    """pagefind's WebAssembly without the folders of the machine that compiled it: texts of the same length in place."""
    raw = _BUILT_IN.sub(lambda found: b"." * len(found[0]), gzip.decompress(packed))
    return gzip.compress(raw, 9, mtime=0)
