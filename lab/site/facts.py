"""Collections of `ledgers/external`, read for pages: bounded, and every text inert."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.errors import SiteError
from lab.site.sanitize import inert

FILE_LIMIT_BYTES = 4 << 20
TEXT_LIMIT = 600
_SOURCES_LIMIT = 300

__all__ = ["TEXT_LIMIT", "inert", "records", "source", "text"]


def records(path: Path, key: str = "records") -> list[dict[str, Any]]:
    """The records of a collection; empty where there is none.

    Raises:
        SiteError: the file is not a collection of external facts.
    """
    if not path.is_file():
        return []
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise ValueError(f"more than {FILE_LIMIT_BYTES:,} bytes")
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[key]
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"external/{path.name}", expected="a collection of facts", found=str(error)[:200]) from None


def text(item: Mapping[str, Any], key: str) -> str:
    """A text of a record, cut and inert; empty where there is none."""
    return inert(str(item.get(key) or ""))[:TEXT_LIMIT]


def source(item: Mapping[str, Any]) -> str:
    """Where a record was published."""
    return inert(", ".join(map(str, item.get("sources", []))))[:_SOURCES_LIMIT]
