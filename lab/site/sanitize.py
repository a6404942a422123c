"""The one table of public fields, and text made inert.

A field reaches a page or a data file only if it stands in `PUBLIC`. Everything else is withheld and counted with its
reason. Texts of records were written by machines that may be wrong or hostile: control characters and characters that
reorder or hide text are shown by their code point, and long texts are cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import nh3

TEXT_LIMIT = 4_000
FIELD_LIMIT = 200
ANY = "*"

# path of a public field -> what it holds, as the data page prints it; `*` stands for every key below
PUBLIC: dict[str, str] = {
    "schema": "name and number of the record's schema",
    "id": "recipe slug and eight digits that name archive, runtime, axis, evaluator and contract together",
    "contract": "contract under which it was measured",
    "contract_sha256": "state of that contract; scores compare only where it agrees",
    "recorded_at": "UTC time at which the record was written",
    "recipe.name": "family/slug",
    "recipe.family": "codec family",
    "recipe.sha256": "SHA-256 of what decides the bytes",
    "recipe.question": "what the run asks",
    "recipe.changed": "the one axis that differs from the parent",
    "recipe.seed": "seed of every random choice",
    "recipe.params.*": "parameters of the family",
    "parents": "ids of the runs that it departs from",
    "verdict": "promoted, rejected or open",
    "verdict_reason": "why, in one sentence",
    "evaluation.axis": "device of the measurement: cpu or cuda; never mixed",
    "evaluation.n_pairs": "frame pairs measured",
    "evaluation.segnet": "share of pixels whose class differs, mean over pairs",
    "evaluation.posenet": "mean squared error of six pose outputs, mean over pairs",
    "evaluation.archive_bytes": "size of the archive as charged",
    "evaluation.source_bytes": "size of the source video, the rate's denominator",
    "evaluation.encode_s": "wall time of encoding, seconds",
    "evaluation.inflate_s": "wall time of inflating in a clean process, seconds",
    "evaluation.evaluate_s": "wall time of measuring, seconds",
    "score.segnet_term": "first term of the score",
    "score.posenet_term": "second term of the score",
    "score.rate_term": "third term of the score",
    "score.total": "their sum; lower is better",
    "rates.as_scored_bytes": "bytes of the archive",
    "rates.rule_faithful_bytes": "bytes of archive, decoder scripts and the weights that they load",
    "custody.archive_sha256": "SHA-256 of the archive",
    "custody.runtime_sha256": "SHA-256 of the decoder's file tree",
    "custody.runtime_bytes": "bytes of the decoder's file tree",
    "custody.raw_sha256": "SHA-256 of the raw frames that came out",
    "custody.raw_bytes": "their size",
    "custody.evaluator_sha256": "SHA-256 of the measuring code",
    "custody.networks.*": "SHA-256 of the frozen networks' weights",
    "custody.source_sha256": "SHA-256 of the source video",
    "custody.commit": "commit of this repository",
    "custody.dirty": "did code differ from that commit?",
    "custody.device": "device that ran the networks",
    "custody.decoder": "how the source was decoded",
    "custody.versions.*": "versions of Python and of packages that can move a value",
    "custody.machine.system": "operating system",
    "custody.machine.architecture": "processor architecture",
    "custody.machine.processor": "processor model",
    "custody.machine.cores": "number of cores",
    "custody.walls": "walls around the inflating process",
    "custody.exact_arithmetic": "fp32 without reduced-precision modes",
    "custody.charge.*": "reading of the charge rule: mode, findings, constants",
    "grade": "grade of the evidence",
    "grade_reasons": "every reason for that grade",
    "supersedes": "id of the record that this one replaces",
    "notes": "remarks",
}

_FOLDERS = {name[:at] for name in PUBLIC for at, sign in enumerate(name) if sign == "."}

# evidence that is published, and what it is; other files of an evidence folder are withheld
PUBLIC_EVIDENCE: dict[str, str] = {
    "report.txt": "the evaluator's report, as printed",
    "evaluation.json": "components, terms and custody",
    "anatomy.json": "sections of the archive, to the byte",
    "recipe.toml": "the recipe as it was run",
    "pairs.csv": "distortion of every pair in full precision",
    "replay.json": "later replays of the packet",
    "answers.png": "SegNet's classes of every pair: red the decode's, blue the source's, green where they differ",
    "stages.txt": "the stages of its training",
    "stages.csv": "its score after every stage",
    "axes.csv": "its score on other decodes of the source",
    "training.csv": "the log of its training",
    "training-behind.csv": "the log of the stages trained behind side codes",
    "sensitivity.csv": "how far each network's answer moves per grey level, every pair",
    "sensitivity-segnet.png": "where SegNet looks, mean over the pairs",
    "sensitivity-posenet.png": "where PoseNet looks, mean over the pairs",
    "class-maps.png": "decoded class maps, evenly spaced over the clip",
    "triptych.png": "source, decoded class map and decode of three pairs",
    "poses.csv": "the pose stream as it is decoded, every pair",
    "tails.csv": "what every tail of actions measured, admitted or not",
    "codes.csv": "how often every integer occurs in each coded stream",
    "latents.png": "the latents of every pair, a row for each number",
}

# controls, directional overrides and isolates, zero-width and invisible characters, private use, lone surrogates, tags
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)

# marks that stand over and under a letter; a pile of them reaches across lines
_MARKS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED = re.compile(f"(?<={_MARKS}{{4}}){_MARKS}")
_MARKUP = re.compile(r"<[A-Za-z/!?]")
_PLAIN = bytes((0x09, 0x0A, *range(0x20, 0x7F)))
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
INTEGER_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Something of a record that is not published, and why."""

    where: str
    field: str
    reason: str


def is_inert(text: str) -> bool:
    """Does a text show as it is stored?"""
    return not _UNSAFE.search(text)


def is_inert_page(data: bytes) -> bool:
    """The same of a page in UTF-8, where lines end; only what is not plain ASCII is looked at sign by sign."""
    return is_inert(data.translate(None, _PLAIN).decode("utf-8", "surrogatepass"))


def inert(text: str) -> str:
    """A text whose every character is visible and in its place; the others are named by code point."""
    return _UNSAFE.sub(_named, _PILED.sub(_named, text))


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"


def public_record(record: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[Withheld]]:
    """What of a record may be published, and what was withheld.

    Returns:
        (the public part, same nesting; everything withheld, changed, or of a kind that programs take for orders).
        Texts are inert and at most `TEXT_LIMIT` characters long; numbers are finite, integers below `INTEGER_LIMIT`.
    """
    withheld: list[Withheld] = []
    public = _table(record, "", where, withheld)
    return public, withheld


def _table(table: Mapping[str, Any], prefix: str, where: str, withheld: list[Withheld]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in table.items():
        path = f"{prefix}{key}"
        if path in PUBLIC or f"{prefix}{ANY}" in PUBLIC:
            out[_text(key, f"{prefix}{ANY}", where, withheld)] = _value(value, path, where, withheld)
        elif isinstance(value, Mapping) and path in _FOLDERS:
            out[key] = _table(value, f"{path}.", where, withheld)
        else:
            withheld.append(_kept_back(where, path, "not declared public"))
    return out


def _kept_back(where: str, path: str, reason: str) -> Withheld:
    """A note whose path is fit to print: keys of a record are texts of others too."""
    return Withheld(where=where, field=inert(path[:FIELD_LIMIT])[:FIELD_LIMIT], reason=reason)


def _value(value: Any, path: str, where: str, withheld: list[Withheld]) -> Any:
    if isinstance(value, str):
        return _text(value, path, where, withheld)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        if -INTEGER_LIMIT < value < INTEGER_LIMIT if isinstance(value, int) else math.isfinite(value):
            return value
        withheld.append(_kept_back(where, path, "a number that is not finite"))
        return None
    if isinstance(value, Mapping):
        return {
            _text(str(key), path, where, withheld): _value(item, path, where, withheld) for key, item in value.items()
        }
    return [_value(item, path, where, withheld) for item in value]


def _text(text: str, path: str, where: str, withheld: list[Withheld]) -> str:
    plain = text.isascii() and text.isprintable() and len(text) <= TEXT_LIMIT and "<" not in text
    if plain and not text.startswith(FORMULA):
        return text  # nearly all of them
    if not is_inert(text) or _PILED.search(text):
        withheld.append(_kept_back(where, path, "characters that hide or reorder text, shown by code"))
    if _MARKUP.search(text):
        withheld.append(_kept_back(where, path, "markup, shown as text"))
    if text.startswith(FORMULA):
        withheld.append(_kept_back(where, path, "starts as a formula does, a text in the tables"))
    shown = inert(text)
    if len(shown) > TEXT_LIMIT:
        withheld.append(_kept_back(where, path, f"text beyond {TEXT_LIMIT:,} characters"))
        shown = shown[:TEXT_LIMIT] + "…"
    return shown


def csv_cell(value: Any) -> str:
    """One CSV cell that no spreadsheet takes for a formula; texts that start like one get an apostrophe in front."""
    if type(value) is str and value.isascii() and value.isprintable() and not value.startswith(FORMULA):
        return '"' + value.replace('"', '""') + '"' if "," in value or '"' in value or "'" in value else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = " ".join(str(value).split("\n")).replace("\r", " ")
    if text.startswith(FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ",\"'") else text


def csv_line(cells: Iterable[Any]) -> str:
    """A line of a CSV file, each cell through `csv_cell`."""
    return ",".join(csv_cell(cell) for cell in cells)


def csv_lines(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV file of a header and rows."""
    return "\n".join([csv_line(columns), *map(csv_line, rows)]) + "\n"


_TAGS = {
    *("a", "abbr", "blockquote", "br", "code", "dd", "dl", "dt", "em", "h2", "h3", "h4", "hr", "kbd", "li", "ol", "p"),
    *("pre", "s", "section", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
    *("math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "msup", "msub", "msubsup", "msqrt", "mroot", "mfrac"),
    *("munder", "mover", "munderover", "mtable", "mtr", "mtd"),
}
_ATTRIBUTES = {
    "a": {"href", "id", "class"},
    "code": {"class"},
    "dt": {"id"},
    "h2": {"id"},
    "h3": {"id"},
    "h4": {"id"},
    "li": {"id", "class"},
    "ol": {"start", "class"},
    "section": {"class"},
    "sup": {"class"},
    "th": {"scope", "class"},
    "td": {"class"},
    "hr": {"class"},
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"stretchy"},
    "mspace": {"width"},
}


def clean_html(html: str) -> str:
    """HTML from Markdown, reduced to an allowlist of tags, attributes and link schemes."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"https", "http", "mailto"},
        link_rel=None,
        strip_comments=True,
    )
