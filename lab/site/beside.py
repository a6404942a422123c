"""What lies beside a record: the files of its evidence, those that may be published read and proven to belong to it."""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from lab import custody
from lab.errors import SiteError
from lab.run import Run
from lab.site import anatomy, sanitize, training
from lab.site.anatomy import Anatomy
from lab.site.book import EvidenceFile
from lab.site.redact import Redactor
from lab.site.sanitize import Withheld
from lab.site.training import Curve

LIMIT_BYTES = 4 << 20
PAIR_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What of the evidence of a run is published, and what is read from it."""

    files: tuple[EvidenceFile, ...] = ()
    anatomy: Anatomy | None = None
    pairs: tuple[tuple[float, float], ...] = ()
    curve: Curve | None = None
    withheld: list[Withheld] = field(default_factory=list)


NOTHING = Beside()


def read(folder: str, run: Run, where: str, redactor: Redactor | None) -> Beside:
    """The evidence of a run in this folder, which need not be there.

    Raises:
        SiteError: a file is not what its record says.
    """
    files, kept_back, contents = [], [], {}
    for name, reason in _listed(folder):
        path = Path(folder, name)
        data = b"" if reason else path.read_bytes()
        if data and name.endswith(".png") and not training.is_picture(data):
            reason = "not a picture"
        if reason:
            kept_back.append(Withheld(where=where, field=f"evidence/{sanitize.inert(name)}", reason=reason))
            continue
        shown = redactor.evidence(path, where, kept_back) if redactor else path
        contents[name] = data = data if shown == path else shown.read_bytes()
        files.append(EvidenceFile(name=name, path=shown, n_bytes=len(data), sha256=custody.sha256_bytes(data)))
    return Beside(
        files=tuple(files),
        anatomy=_anatomy(contents.get("anatomy.json"), run, where),
        pairs=_pairs(contents.get("pairs.csv"), run, where),
        curve=training.curve(
            [_text(contents[name]) for name in training.LOGS if name in contents], f"{where}, training.csv"
        ),
        withheld=kept_back,
    )


def _listed(folder: str) -> list[tuple[str, str]]:
    """(name, why it is withheld before anything of it is read) of every file of a folder, in order of names."""
    try:
        with os.scandir(folder) as found:
            return sorted((item.name, _hindrance(item)) for item in found)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _hindrance(item: os.DirEntry[str]) -> str:
    if item.name not in sanitize.PUBLIC_EVIDENCE or not item.is_file(follow_symlinks=False):
        return "not declared public"
    return "larger than evidence may be" if item.stat().st_size > LIMIT_BYTES else ""


def _text(data: bytes, errors: str = "replace") -> str:
    """The text of a file, lines ending as Python ends them."""
    return data.decode("utf-8", errors=errors).replace("\r\n", "\n").replace("\r", "\n")


def _anatomy(data: bytes | None, run: Run, where: str) -> Anatomy | None:
    if data is None:
        return None
    return anatomy.parse(
        _text(data),
        f"{where}, anatomy.json",
        archive_bytes=run.archive_bytes,
        archive_sha256=str(run.data["custody"]["archive_sha256"]),
    )


def _pairs(data: bytes | None, run: Run, where: str) -> tuple[tuple[float, float], ...]:
    """(segnet, posenet) of every pair, in order; their means are the components on record."""
    if data is None:
        return ()
    measured = run.data["evaluation"]
    try:
        rows = list(csv.DictReader(io.StringIO(_text(data, "strict"))))
        pairs = tuple((float(row["segnet"]), float(row["posenet"])) for row in rows)
        if not rows or len(rows) != measured["n_pairs"] or any(int(row["pair"]) != i for i, row in enumerate(rows)):
            raise ValueError(f"{len(rows)} rows, or pairs out of order")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise SiteError(
            f"{where}, pairs.csv",
            expected=f"pair,segnet,posenet for {measured['n_pairs']} pairs",
            found=str(error)[:200],
        ) from None
    for column, name in enumerate(("segnet", "posenet")):
        mean = math.fsum(pair[column] for pair in pairs) / len(pairs)
        if not math.isclose(mean, measured[name], rel_tol=PAIR_TOLERANCE, abs_tol=1e-12):
            raise SiteError(f"{where}, pairs.csv", expected=f"a mean {name} of {measured[name]!r}", found=repr(mean))
    return pairs
