"""Two manifests beside the data: what the site is made of and what was left out, and what a release would name.

`data/bundle.json` lists every other file with its digest, everything withheld, and the digests of the sources.
`data/release.json` holds placeholders for what is published on purpose only; they stay until `site.toml` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path

from lab import custody
from lab.site import data, redact
from lab.site.book import Book
from lab.site.data import Content, File

BUNDLE, RELEASE = "data/bundle.json", "data/release.json"
PLACEHOLDER = "not published"


def bundle(book: Book, templates: Path, files: Mapping[str, File]) -> bytes:
    """The manifest of a whole tree, itself excepted."""
    reasons: dict[str, int] = {}
    for item in book.withheld:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    head = {
        "schema": "lab.bundle/1",
        "omissions": {
            "fields": len(book.withheld),
            "by_reason": reasons,
            "listed_in": "data/withheld.json",
            "evidence_of_runs": [entry.id for shelf in book.shelves for entry in shelf.entries if entry.plain],
        },
        "redactions": redact.counts(book.withheld),
        "sources": {
            "site_src": _folder(book.source),
            "templates": _folder(templates),
            "records": {
                shelf.contract.name: {
                    "contract_sha256": shelf.contract.digest,
                    "runs": len(shelf.entries),
                    "ledger_json_sha256": files[f"data/{shelf.contract.name}/ledger.json"].sha256,
                }
                for shelf in book.shelves
            },
        },
    }
    lines = [
        f'{quoted(name)}: {{"bytes": {one.n_bytes}, "sha256": "{one.sha256}"}}'
        for name, one in ((name, files[name]) for name in sorted(files))
    ]
    return data.with_lines(head, "files", "{}", lines)


def release(book: Book, tree: Mapping[str, Content]) -> bytes:
    """What a release names: addresses, or placeholders, and the packet that lies beside the pages."""
    packets = {
        name: data.digest_of(tree[name])
        for name in sorted(tree)
        if name.startswith("packet/") and name.endswith(".zip") and name.count("/") == 1
    }
    return data.dump(
        {
            "schema": "lab.release/1",
            "title": book.site.title,
            "url": book.site.url or PLACEHOLDER,
            "repository": book.site.repository or PLACEHOLDER,
            "author": book.site.author or PLACEHOLDER,
            "licence": book.site.licence,
            "last_recorded": book.last_recorded,
            "packets": packets,
        }
    )


def _folder(root: Path) -> str:
    """One digest of the names and contents of a folder's files, hidden ones left out."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return custody.sha256_tree((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)
