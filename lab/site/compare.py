"""The page that compares runs frame by frame: which runs it offers, and what it needs of each."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import SiteError
from lab.facts import ANSWERS_FILE
from lab.site import clips, data
from lab.site.book import Board, Entry
from lab.site.clips import ATLAS, Media
from lab.site.data import Content
from lab.site.sheets import Page, sheet

DISAGREEMENT = 130  # green above it: the two classes differ, see lab.answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A run that may be compared. `pane`: its place in the atlas, 0 where it has none; addresses are empty likewise."""

    entry: Entry
    media: Media
    pane: int
    series: str
    answers: str


def offers(board: Board | None, media: Mapping[str, Media], files: Mapping[str, Content]) -> list[Offer]:
    """Every run of a board that has a clip, those of the atlas first; none where fewer than two have one."""
    if board is None or ATLAS not in media:
        return []
    shown = clips.top(board)
    rest = [entry for entry in board.entries if entry.url in media and entry not in shown]
    return [
        Offer(
            entry=entry,
            media=media[entry.url],
            pane=shown.index(entry) + 1 if entry in shown else 0,
            series=_published(entry, "pairs.csv", files),
            answers=_answers(entry, files),
        )
        for entry in (*shown, *sorted(rest, key=lambda entry: (entry.total, entry.id)))
    ]


def pages(board: Board | None, media: Mapping[str, Media], offered: list[Offer]) -> list[Page]:
    """The page, where there is something to compare."""
    shown = [offer for offer in offered if offer.pane]
    return [sheet(ATLAS, board=board, media=media[ATLAS], offers=offered, shown=shown)] if offered else []


def _published(entry: Entry, name: str, files: Mapping[str, Content]) -> str:
    url = data.evidence_url(entry, name)
    return url if url[1:] in files else ""


def _answers(entry: Entry, files: Mapping[str, Content]) -> str:
    """The address of a run's class maps, if they are published and agree with its pairs.

    Raises:
        SiteError: a picture that is not the maps of this run.
    """
    url = _published(entry, ANSWERS_FILE, files)
    if not url or not entry.pairs:
        return ""
    from PIL import Image

    height, width = entry.contract.model_size
    columns = math.isqrt(len(entry.pairs) - 1) + 1
    size = (columns * width, -(-len(entry.pairs) // columns) * height)
    with Image.open(io.BytesIO(data.read(files[url[1:]])), formats=["PNG"]) as picture:
        if picture.size != size:
            raise SiteError(
                f"{entry.id}, {ANSWERS_FILE}", expected=f"{size[0]} x {size[1]} pixels", found=str(picture.size)
            )
        green = picture.convert("RGB").getchannel("G")
    for pair, (segnet, _) in enumerate(entry.pairs):
        left, top = pair % columns * width, pair // columns * height
        levels = green.crop((left, top, left + width, top + height)).histogram()
        share = sum(levels[DISAGREEMENT:]) / (width * height)
        if not math.isclose(share, segnet, rel_tol=1e-9, abs_tol=1e-12):
            raise SiteError(
                f"{entry.id}, {ANSWERS_FILE}, pair {pair}", expected=f"a disagreement of {segnet!r}", found=repr(share)
            )
    return url
