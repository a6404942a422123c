"""`lab anatomy ARCHIVE`: what every byte of an archive is, ours and others'. `lab formats`: by which tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli import terminal

OUR_MAGIC = b"\xa7"


def register(commands: Any) -> None:
    """Add the verbs."""
    parser = terminal.verb(
        commands,
        "anatomy",
        anatomy_,
        help="what every byte of an archive is: ours to the section, others' to what can be proven",
        example="lab anatomy archive.zip",
        json_output=True,
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("--inside", type=Path, metavar="DIR", help="also write the histograms of its integers there")
    terminal.verb(
        commands,
        "formats",
        formats,
        help="the field tables of every codec family: what the bytes of a payload are, in order",
        example="lab formats --json > lab/codecs/formats.json",
        json_output=True,
    )


def read(path: Path, ledgers: Path) -> dict[str, Any]:
    """The anatomy of an archive: by our codecs where its payload is ours, else by what can be proven.

    A digest that stands in the public record names the entry.
    """
    from lab.foreign import anatomy as foreign
    from lab.foreign import container

    found = foreign.read(path)
    data = path.read_bytes()
    survey = container.survey(data, path.name)
    stored = [data[entry.data_offset :][:1] for entry in survey.entries if entry.method == "stored"]
    if stored == [OUR_MAGIC]:
        ours = _ours(path)
        if ours is not None:
            return ours
    known = published(found["archive"]["sha256"], ledgers)
    return {**found, "published_as": known} if known else found


def published(sha256: str, ledgers: Path) -> list[dict[str, Any]]:
    """Entries of the public record with this archive, with the streams that were published for them."""
    path = ledgers / "external" / "archives.json"
    if not path.is_file():
        return []
    records = json.loads(path.read_text(encoding="utf-8")).get("records", [])
    return [
        {
            "record": record["id"],
            "title": record["title"],
            "pr": record.get("pr"),
            "streams": [
                {"name": stream["name"], "bytes": stream["bytes"]} for stream in record["facts"].get("streams", [])
            ],
        }
        for record in records
        if record.get("archive_sha256") == sha256
    ]


def _ours(path: Path) -> dict[str, Any] | None:
    from lab import experiment
    from lab.errors import BitstreamError

    try:
        return experiment.archive_anatomy(path)
    except BitstreamError:  # a first byte like ours proves nothing
        return None


def inside(path: Path, folder: Path) -> tuple[Path, ...]:
    """Write what `lab.codecs.inside` finds in the payload of an archive; the files.

    Raises:
        BitstreamError: no member of the archive is a payload of ours.
    """
    from lab import archive
    from lab.codecs import inside as integers
    from lab.errors import UnknownSyntax

    payloads = [member.content for member in archive.parse(path.read_bytes(), path.name)]
    ours = [payload for payload in payloads if payload[:1] == OUR_MAGIC]
    if not ours:
        raise UnknownSyntax(path.name, expected="a payload of ours, whose integers are known", found="none")
    return integers.write(ours[0], folder)


def anatomy_(options: argparse.Namespace) -> None:
    """Print the sections of an archive, and the proofs of what they are."""
    found = read(options.archive, options.ledgers)
    written = inside(options.archive, options.inside) if options.inside else ()
    if options.json:
        terminal.say(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for path in written:
        terminal.say(f"wrote {path.name}")
    total = found["archive"]["n_bytes"]
    rows = list(_rows(found["sections"], total, 0))
    columns = ["section", "kind", "offset", "bytes", "share", "ideal bytes" if "proofs" not in found else "proof"]
    terminal.show(rows, columns, as_json=False)
    for member in found.get("members", ()):
        differs = ", ".join(member.get("headers_differ_in", ()))
        terminal.say(
            f"member {member['name']}: {member['plain_bytes']:,} bytes {member['method']}, crc {member['crc32']}, "
            + (f"headers differ in {differs}, " if differs else "headers agree, ")
            + f"order-0 entropy {member['entropy_bytes']:,} bytes, sha256 {member['sha256']}"
        )
    for proof in found.get("proofs", ()):
        terminal.say(f"{proof['of']}: {proof['format']}, {proof['strength']}: {proof['evidence']}")
        for agreement in proof.get("facts", {}).get("parts_agree", ()):
            terminal.say(f"  {agreement}")
    for entry in found.get("published_as", ()):
        terminal.say(f"this digest is on public record as {entry['title']}, PR {entry['pr']} ({entry['record']})")
    terminal.say(f"{total:,} bytes, every one accounted for; sha256 {found['archive']['sha256']}")


def _rows(sections: list[dict[str, Any]], total: int, depth: int) -> Iterator[dict[str, Any]]:
    for section in sections:
        yield {
            "section": "  " * depth + section["name"],
            "kind": section["kind"],
            "offset": section["offset"],
            "bytes": section["n_bytes"],
            "share": f"{100 * section['n_bytes'] / total:.2f} %",
            "ideal bytes": round(section["ideal_bits"] / 8) if "ideal_bits" in section else "",
            "proof": section.get("note", ""),
        }
        yield from _rows(section.get("children", []), total, depth + 1)


def formats(options: argparse.Namespace) -> None:
    """Print header fields and sections of every family, or all of it as JSON."""
    from lab.codecs import tables

    found = tables.published()
    if options.json:
        terminal.say(json.dumps(found, indent=1))
        return
    rows = [
        {"family": f"{family} {table['code']:02x}", "part": part, "name": row["name"], "kind": kind, "what": says}
        for family, table in found["families"].items()
        for part, listed in (("header", table["header"]), ("section", table["sections"]))
        for row in listed
        for kind, says in [(row.get("kind", "bytes"), row.get("says") or row.get("holds", ""))]
    ]
    for row in rows:
        row["kind"] = row["kind"] if isinstance(row["kind"], str) else "u8: " + " | ".join(row["kind"])
    terminal.show(rows, ["family", "part", "name", "kind", "what"], as_json=False)
