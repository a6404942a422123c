"""Files for machines: ledgers as JSON and CSV, evidence as it stands, the packet of the frontier run, manifests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lab import custody
from lab.errors import MediaMissing
from lab.site import index, sanitize
from lab.site.book import Book, Entry, Shelf


class File(NamedTuple):
    """What is known of a file that was read once; `placed` is what came of putting it somewhere."""

    n_bytes: int
    sha256: str
    placed: Any = None


@dataclass(frozen=True, slots=True)
class Late:
    """A file that is made when it is read, perhaps in another process, and not kept.

    Two of one `key` hold the same bytes; None says nothing.
    """

    make: Callable[[], bytes]
    key: Any = None


@dataclass(frozen=True, slots=True)
class Seal:
    """A file that is made of what is known of every other one, so that it comes last."""

    make: Callable[[Mapping[str, File]], bytes]


Content = bytes | Path | Late

_LINE = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False, check_circular=False)

_DATA = ("src", "archive", "formats", "anatomy", "index", "series", "answers", "traces", "script")
LINKS = ("href", "src", "srcset", "poster", *(f"data-{name}" for name in _DATA))  # attributes that lead to a file
FORMATS = "data/formats.json"
BENCHMARK_LIMIT_BYTES = 1 << 20
PORTION_BYTES = 20 << 20  # of a long table in one file: hosts take none above 25 MiB
PART_BYTES = 4 << 20  # of a long ledger in one file of JSON: a further run changes the last one only
_LARGE, _REMEMBERED = 1 << 20, 12  # bytes; files
_digests: dict[int, tuple[bytes, str]] = {}
_TABLES = Path(__file__).resolve().parents[1] / "codecs" / "formats.json"


def dump(value: Any) -> bytes:
    """Canonical JSON for a published file."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode()


def dump_lines(head: Mapping[str, Any], name: str, rows: Iterable[Any] | Mapping[str, Any]) -> bytes:
    """The same with one long value at its end, a list or a table, each element of it on a line of its own."""
    if isinstance(rows, Mapping):
        return with_lines(head, name, "{}", [f"{one_line(key)}: {one_line(value)}" for key, value in rows.items()])
    return with_lines(head, name, "[]", [one_line(row) for row in rows])


def one_line(value: Any) -> str:
    """Canonical JSON on a line."""
    return _LINE.encode(value)


def with_lines(head: Mapping[str, Any], name: str, marks: str, lines: Sequence[str]) -> bytes:
    """A published file whose last value has a line for each element, between two marks; the lines are JSON already."""
    body = dump(head).decode().removesuffix("\n}\n")
    return (f"{body},\n {json.dumps(name)}: {marks[0]}\n" + ",\n".join(lines) + f"\n {marks[1]}\n}}\n").encode()


def field(record: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """A value by the keys that lead to it; None where it was withheld."""
    value: Any = record
    for key in keys:
        value = value.get(key) if type(value) is dict or isinstance(value, Mapping) else None
    return value


def benchmark(path: Path) -> Any:
    """What a benchmark wrote beside the ledger, parsed.

    Raises:
        ValueError: no JSON, or more of it than a benchmark writes.
    """
    if path.stat().st_size > BENCHMARK_LIMIT_BYTES:
        raise ValueError(f"more than {BENCHMARK_LIMIT_BYTES:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def portions(lines: Iterable[str], most: int | None = None) -> list[list[str]]:
    """Lines of ASCII in their order, in portions of at most `most` bytes unless one line alone is longer.

    Args:
        most: `PORTION_BYTES` where it is None.
    """
    every, most = list(lines), most or PORTION_BYTES
    if sum(map(len, every)) + 2 * len(every) <= most:
        return [every]
    found: list[list[str]] = [[]]
    taken = 0
    for line in every:
        if found[-1] and taken + len(line) > most:
            found.append([])
            taken = 0
        found[-1].append(line)
        taken += len(line) + 2
    return found


def portion_name(name: str, number: int) -> str:
    """The name of a further part of a file that was cut; parts count from 1."""
    stem, _, end = name.rpartition(".")
    return name if number == 1 else f"{stem}-{number}.{end}"


def ledger_json(shelf: Shelf, lines: Sequence[str]) -> dict[str, bytes]:
    """The public records of a contract, oldest first, one a line; before them what of which was withheld or changed.

    A long ledger is cut: the first file, `ledger.json`, names the further ones; their digests are in the manifest of
    the site. Each is made once for as long as its runs are the same ones.

    Args:
        lines: the record of every run as JSON.
    """
    contract = shelf.contract
    cut = portions(lines, PART_BYTES)
    head = {
        "schema": "lab.ledger/1",
        "contract": {"name": contract.name, "title": contract.title, "sha256": contract.digest},
        "source_bytes": contract.source.bytes,
        "n_pairs": contract.n_pairs,
        "formula": {
            "segnet": contract.formula.segnet,
            "posenet": contract.formula.posenet,
            "rate": contract.formula.rate,
        },
        "flagged": {entry.id: entry.flags for entry in shelf.entries if entry.flags},
    }
    names = [portion_name("ledger.json", n) for n in range(1, len(cut) + 1)]
    heads = [head | ({"continued": names[1:]} if len(cut) > 1 else {})]
    heads += [{**head, "part": n} for n in range(2, len(cut) + 1)]
    before = shelf.entries[0].made.get("ledger.json", {}) if shelf.entries else {}
    kept = {}
    for name, first, part in zip(names, heads, cut, strict=True):
        told, those, content = before.get(name, (None, None, b""))
        if told != first or those != part:  # where nothing changed, the lines are the same objects
            content = with_lines(first, "runs", "[]", part)
        kept[name] = first, part, content
    if shelf.entries:
        shelf.entries[0].made["ledger.json"] = kept
    return {name: content for name, (_, _, content) in kept.items()}


def evidence_url(entry: Entry, name: str) -> str:
    """Address of a file of evidence."""
    return f"/data/{entry.contract.name}/{entry.id}/{name}"


def archive_url(entry: Entry) -> str:
    """Address of a kept archive."""
    return f"/data/{entry.contract.name}/archives/{entry.data['custody']['archive_sha256']}.zip"


def files(book: Book) -> dict[str, Content]:
    """Every data file of the site but the ledgers themselves, by its path in the tree."""
    tree: dict[str, Content] = {}
    for shelf in book.shelves:
        if index.is_long(shelf):
            tree[index.url(shelf)[1:]] = index.rows(shelf)
        for entry in shelf.entries:
            for item in entry.evidence:
                tree[evidence_url(entry, item.name)[1:]] = item.path
        for entry in shelf.entries:
            if entry.archive:
                tree[archive_url(entry)[1:]] = entry.archive
    tree[FORMATS] = _TABLES
    tree["data/schema.json"] = dump({"schema": "lab.run/1", "public_fields": sanitize.PUBLIC})
    tree["data/withheld.json"] = dump(
        [{"where": item.where, "field": item.field, "reason": item.reason} for item in book.withheld]
    )
    return tree


def manifest(tree: Mapping[str, Content], folder: str) -> bytes:
    """`digest  name` lines of every file below a folder."""
    lines = [
        f"{digest_of(tree[name])}  {name.removeprefix(folder)}\n" for name in sorted(tree) if name.startswith(folder)
    ]
    return "".join(lines).encode()


def read(content: Content) -> bytes:
    """The bytes of a file of the tree.

    Raises:
        MediaMissing: it vanished since the tree was planned.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, Late):
        return content.make()
    try:
        return content.read_bytes()
    except OSError as error:
        raise _vanished(content, error) from None


def _vanished(path: Path, error: OSError) -> MediaMissing:
    return MediaMissing(
        f"file {path.name} in {path.parent.name}",
        expected="to be there until the build ends",
        found=error.strerror or str(error),
        fix="build again; the old site is untouched",
    )


def digest_of(content: Content) -> str:
    """SHA-256 of a file of the tree; the large ones that were made are asked for several times, and remembered."""
    if isinstance(content, Path):
        return custody.sha256_file(content)
    made = read(content)
    if len(made) < _LARGE:
        return custody.sha256_bytes(made)
    if id(made) not in _digests:
        while len(_digests) >= _REMEMBERED:
            del _digests[next(iter(_digests))]
        _digests[id(made)] = made, custody.sha256_bytes(made)  # which holds it, so that no other takes its number
    return _digests[id(made)][1]


def size_of(content: Content) -> int:
    """Size of a file of the tree.

    Raises:
        MediaMissing: it vanished since the tree was planned.
    """
    if not isinstance(content, Path):
        return len(read(content))
    try:
        return content.stat().st_size
    except OSError as error:
        raise _vanished(content, error) from None


def listing(tree: Mapping[str, Content], names: Iterable[str]) -> list[tuple[str, str, int]]:
    """(address, digest, bytes) of files, for pages that list them."""
    return [(f"/{name}", digest_of(tree[name]), size_of(tree[name])) for name in names]
