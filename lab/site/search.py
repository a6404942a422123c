"""The search index over prose: what pagefind makes of the rendered pages, as files of the tree.

Only pages whose main part is marked `data-pagefind-body` are indexed; runs are found in their tables, so drawings and
tables marked `data-pagefind-ignore` are taken out of a page before pagefind reads it, which would take most of its
time. Of what pagefind writes, its ready-made interface is left out: the page `/search/` has its own.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lab import custody
from lab.errors import SiteError
from lab.site.data import Content, Seal

FOLDER = "pagefind/"
MARK = b"data-pagefind-body"
TIME_LIMIT_S = 300
_ENTRY = "pagefind-entry.json"
_PAUSE_S = 0.005
_MADE_BY = f"pagefind {version('pagefind')}, page by page, files as answered" if find_spec("pagefind") else ""
_NEEDED = ("pagefind.js", "pagefind-worker.js", _ENTRY, "wasm.en.pagefind", "wasm.unknown.pagefind")
_BUILT_IN = re.compile(rb"/(?:home|root|Users|work|tmp|opt)/[\w.-]+/")
_KINDS = (".pf_meta", ".pf_index", ".pf_fragment")
_NO_PROSE = re.compile(rb"<svg\b.*?</svg>|<table\b[^>]*\sdata-pagefind-ignore\b.*?</table>", re.DOTALL)


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
    pages = {name: _NO_PROSE.sub(b"", pages[name]) for name in sorted(pages) if MARK in pages[name]}
    if not pages or not available():
        yield dict
        return
    kept = cache / "search" / custody.sha256_tree([*pages.items(), ("made by", _MADE_BY.encode())])[:24]
    if (kept / _ENTRY).is_file():
        yield partial(_files, kept)
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        said = Path(scratch, "said")
        process = _begin(pages, said)
        try:
            yield partial(_end, process, len(pages) + 2, said, kept)
        finally:
            process.kill()
            process.communicate()


def _files(kept: Path) -> dict[str, Content]:
    found: dict[str, Content] = {}
    for path in sorted(kept.rglob("*")):
        name = path.relative_to(kept).as_posix()
        if path.is_file():
            found[f"{FOLDER}{name}"] = path
    return found


def _begin(pages: Mapping[str, bytes], said: Path) -> subprocess.Popen[bytes]:
    """pagefind at its work; it is handed pages one by one, since a folder's order is another on every file system."""
    from pagefind_bin import get_executable  # type: ignore[import-not-found,import-untyped,unused-ignore]

    orders: list[dict[str, Any]] = [{"type": "NewIndex", "config": {}}]
    for name, html in pages.items():
        page = {"file_path": name, "url": None, "file_contents": html.decode()}
        orders.append({"type": "AddFile", "index_id": 0, **page})
    orders.append({"type": "GetFiles", "index_id": 0})
    with said.open("wb") as out:
        process = subprocess.Popen([get_executable(), "--service"], stdin=subprocess.PIPE, stdout=out, stderr=out)
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        for number, order in enumerate(orders, 1):
            text = json.dumps({"message_id": number, "payload": order}).encode()
            process.stdin.write(base64.b64encode(text) + b",")
        process.stdin.flush()
    return process


def _end(process: subprocess.Popen[bytes], count: int, said: Path, kept: Path) -> dict[str, Content]:
    """The files, once pagefind has answered as many orders as it was given; it would drop some at the end of input.

    The last answer holds them: what pagefind writes to disk itself may not be there yet when it says so.
    """
    before, answers = time.monotonic(), b""
    while process.poll() is None and answers.count(b",") < count and time.monotonic() - before < TIME_LIMIT_S:
        time.sleep(_PAUSE_S)
        answers = said.read_bytes()
    found = [_answer(text) for text in answers.split(b",") if text]
    wrong = [str(answer) for answer in found if answer.get("type") == "Error"]
    files = {file["path"]: base64.b64decode(file["content"]) for file in found[-1].get("files", ())} if found else {}
    if wrong or len(found) < count or _ENTRY not in files:
        what = wrong[0] if wrong else f"{len(found)} answers to {count} orders, {len(files)} files"
        raise SiteError("search index", expected="pagefind to index the pages", found=what[:300])
    draft = said.with_name("index")
    for name, content in files.items():
        if name in _NEEDED or name.endswith(_KINDS):
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_without_paths(content) if name.startswith("wasm.") else content)
    if not kept.is_dir():
        draft.rename(kept)
    return _files(kept)


def _answer(text: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(base64.b64decode(text, validate=True))["payload"]
    except (ValueError, KeyError, TypeError):
        return {"type": "Error", "message": text.decode(errors="replace")}
    return answer


@lru_cache(maxsize=8)
def _without_paths(packed: bytes) -> bytes:
    """pagefind's WebAssembly without the folders of the machine that compiled it: texts of the same length in place."""
    raw = _BUILT_IN.sub(lambda found: b"." * len(found[0]), gzip.decompress(packed))
    return gzip.compress(raw, 9, mtime=0)
