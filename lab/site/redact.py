"""Redaction on request: what the leak gate finds in records and their evidence, replaced by a named placeholder.

Only what machines wrote is redacted. A hit in prose or in the code of a packet is mended where it was written, and the
gate looks at the built tree all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import custody
from lab.site import rules, sanitize
from lab.site.leaks import Gate
from lab.site.sanitize import Withheld
from lab.store import write_atomic

REASON = "redacted: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Redactor:
    """Replaces what `gate` finds; redacted copies of evidence are kept in `folder` under their digest."""

    gate: Gate
    folder: Path

    def value(self, value: Any, path: str, where: str, withheld: list[Withheld]) -> Any:
        """A JSON value with every text redacted; each replacement is added to `withheld`. Keys stay."""
        if isinstance(value, str):
            return self.text(value, path, where, withheld)
        if isinstance(value, dict):
            return {
                key: self.value(item, f"{path}.{key}" if path else str(key), where, withheld)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, path, where, withheld) for item in value]
        return value

    def text(self, text: str, path: str, where: str, withheld: list[Withheld]) -> str:
        """A text with each hit replaced; where a rule tells only the line, the line goes."""
        lines = text.split("\n")
        for number, rule in list(self.gate.lines(text)):
            line, placeholder = lines[number - 1], f"[redacted: {rule}]"
            known = rules.RULES.get(rule)
            shown, count = known.pattern.subn(placeholder, line) if known else (placeholder, 1)
            lines[number - 1] = shown if count else placeholder
            told = Withheld(where=where, field=sanitize.inert(path)[:200], reason=f"{REASON}{rule}")
            withheld += [told] * max(1, count)
        return "\n".join(lines)

    def evidence(self, path: Path, where: str, withheld: list[Withheld]) -> Path:
        """The file itself where it is clean, or a redacted copy; pictures stay as they are, the gate looks at them."""
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return path
        field, before = f"evidence/{path.name}", len(withheld)
        if path.suffix == ".json":
            found: list[Withheld] = []
            try:
                redacted = json.dumps(self.value(json.loads(text), "", where, found), indent=1, sort_keys=True)
            except (ValueError, RecursionError):
                return path
            withheld += [Withheld(where=where, field=field, reason=item.reason) for item in found]
        else:
            redacted = self.text(text, field, where, withheld)
        if len(withheld) == before:
            return path
        data = redacted.encode()
        copy = self.folder / custody.sha256_bytes(data)[:20] / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(copy, data)
        return copy


def counts(withheld: tuple[Withheld, ...]) -> dict[str, int]:
    """Number of redactions by `record: field or file`."""
    found: dict[str, int] = {}
    for item in withheld:
        if item.reason.startswith(REASON):
            key = f"{item.where}: {item.field}"
            found[key] = found.get(key, 0) + 1
    return found
