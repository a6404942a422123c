"""The terminology guard: words that readers of the field expect, and claims that nobody here may make.

Reads prose (README, `site_src`, `templates`, `ledgers/README.md`) and the docstrings of the package; reports
`path:line`. A line that must quote a forbidden phrase says so: it carries the words `terms: quoted`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

PROSE = ("README.md", "CITATION.cff", "ledgers/README.md")
FOLDERS = ("site_src", "templates")
SUFFIXES = {".md", ".html", ".toml", ".txt", ".cff"}
CODE = "lab"
QUOTED = "terms: quoted"
FILE_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A phrase that must not stand, where, and what stands instead. `where`: prose, docstrings, or both."""

    name: str
    pattern: str
    instead: str
    where: str = "both"
    severity: str = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place where a rule is broken."""

    path: str
    line: int
    rule: str
    found: str
    instead: str
    severity: str

    def __str__(self) -> str:
        """`path:line: rule: found; instead`."""
        return f"{self.path}:{self.line}: {self.severity}: {self.rule}: {self.found!r}; {self.instead}"


RULES = (
    # names and expansions
    Rule(name="expansion", pattern=r"task[- ]aware codec\b", instead='TAC is "task-aware compression"'),
    Rule(name="expansion", pattern=r"task[- ]aware coding\b", instead='TAC is "task-aware compression"'),
    Rule(
        name="tautology",
        pattern=r"\bTAC (?:compression|codec)s?\b",
        instead='"task-aware compression" or "codec"',
        severity="warning",
    ),
    Rule(name="internal-alias", pattern=r"\bpact\b", instead="an internal alias; say tac-lab"),
    Rule(name="one-engine", pattern=r"\bcomma_lab\b", instead="there is one package here: lab"),
    Rule(
        name="bare-heading",
        pattern=r"^\s{0,3}#{1,6}\s*TAC\s*$|<h\d[^>]*>\s*TAC\s*</h\d>",
        instead="expand it",
        where="prose",
    ),
    # the field's words
    Rule(
        name="post-filter", pattern=r"\bpost ?filter(?:s|ing|ed)?\b(?!\()", instead='"post-filter"', severity="warning"
    ),
    Rule(name="bitstream", pattern=r"\bbit[ -]streams?\b", instead='"bitstream"', severity="warning"),
    Rule(name="bd-rate", pattern=r"\bBD rate\b|\bbdrate\b|\bBDrate\b", instead='"BD-rate"', severity="warning"),
    Rule(
        name="rate-distortion",
        pattern=r"\brate distortion\b|\bdistortion[- ]rate\b",
        instead='"rate-distortion"',
        severity="warning",
    ),
    Rule(name="side-information", pattern=r"\bside[- ]info\b", instead='"side information"', severity="warning"),
    Rule(
        name="quantization-step",
        pattern=r"\bquanti[sz]er (?:step|stepsize)\b|\bqstep\b",
        instead='"quantization step"',
        severity="warning",
    ),
    Rule(name="lambda", pattern=r"\blambd\b|\blambda_\b", instead='"lmbda"'),
    Rule(
        name="implicit",
        pattern=r"\bimplicit neural network\b",
        instead='"implicit neural representation"',
        severity="warning",
    ),
    Rule(
        name="distortion",
        pattern=r"\b(?:segnet|posenet|segmentation|pose)[ -](?:loss|error) (?:of|is) [0-9]|\bmeasured (?:loss|error)\b",
        instead='a measured value is "distortion"; loss is what training minimises',
        where="prose",
    ),
    Rule(
        name="archive",
        pattern=r"\b(?:zip|archive) bitstream\b|\bbitstream\.zip\b",
        instead="the bitstream lies in the archive",
        severity="warning",
    ),
    # grades, axes, authority
    Rule(
        name="grade",
        pattern=r"\bgrade (?:B|C|D|S|A\+(?!\+)|AAA?)(?![\w-])",
        instead="A++, A, A-negative, empirical, ...",
    ),
    Rule(
        name="advisory-axis",
        pattern=r"\b(?:MPS|macOS|Apple)[- ](?:\w+ )?scores?\b(?!.*advisory)",
        instead="results of that axis are advisory and never ranked",
        where="prose",
    ),
    Rule(
        name="proxy",
        pattern=r"\bproxy scores? (?:of|is|was|beats?)\b",
        instead="a proxy never is a score",
        where="prose",
    ),
    Rule(
        name="mixed-axes",
        pattern=r"\b(?:averag|mean)\w* (?:of|over|across) (?:the )?(?:cpu and cuda|cuda and cpu|(?:both|two) axes)\b",
        instead="axes are never mixed, averaged or ranked together",
        where="prose",
    ),
    # claims
    Rule(
        name="over-claim",
        pattern=r"\bstate[- ]of[- ]the[- ]art\b|\bSOTA\b",
        instead="say which run, under which contract",
    ),
    Rule(
        name="over-claim", pattern=r"\bworld[- ](?:record|first|class)\b", instead="say which run, under which contract"
    ),
    Rule(
        name="over-claim",
        pattern=r"\b(?:best|smallest|fastest) in the world\b|\bever (?:made|built|seen)\b",
        instead="say of what",
    ),
    Rule(
        name="over-claim",
        pattern=r"\b(?:revolutionary|groundbreaking|game[- ]chang\w+|cutting[- ]edge)\b",
        instead="leave it out",
    ),
    Rule(
        name="over-claim",
        pattern=r"\b(?:provably|guaranteed) (?:optimal|best|smallest)\b",
        instead="give the proof or leave it out",
    ),
    Rule(
        name="over-claim",
        pattern=r"\bvisually lossless\b|\bperceptually lossless\b",
        instead="the receivers are networks",
    ),
    Rule(name="over-claim", pattern=r"\bunbeatable\b|\bunmatched\b|\bunprecedented\b", instead="leave it out"),
    Rule(
        name="over-claim", pattern=r"\bclearly (?:wins|superior|better)\b", instead="give both figures", where="prose"
    ),
    Rule(name="promise", pattern=r"\blive leaderboard\b", instead="this is a notebook, not a leaderboard"),
    Rule(
        name="promise",
        pattern=r"\b(?:pre-?print|paper) (?:is )?(?:coming|forthcoming|to appear|soon)\b",
        instead="promise nothing",
    ),
    Rule(name="promise", pattern=r"\bcoming soon\b|\bstay tuned\b", instead="promise nothing", where="prose"),
    Rule(
        name="authority",
        pattern=r"\bclips? (?:prove|show that .* better|are evidence)\b",
        instead="clips illustrate; evaluation.json is the authority",
        where="prose",
    ),
)

# file -> phrases that it must hold, whatever the case
REQUIRED: dict[str, tuple[str, ...]] = {
    "README.md": ("task-aware", "coding for machines", "task-oriented", "VCM", "FCM", "grade"),
    "site_src/glossary.md": ("task-aware compression", "coding for machines", "bitstream", "archive", "distortion"),
    "ledgers/README.md": ("supersedes", "rule_faithful_bytes", "never ranked"),
}
_EXPANDED = re.compile(r"task[- ]aware[*_]{0,2} (?:video )?compression|task-aware video compression", re.IGNORECASE)
_ACRONYM = re.compile(r"(?<![\w-])TAC(?![\w-])")


def check(root: Path) -> tuple[Hit, ...]:
    """Every broken rule of a checkout, in order of path and line.

    Raises:
        LabError: there is nothing to read: a guard that looks at nothing must not pass.
    """
    if not (root / "README.md").is_file():
        raise LabError("terms", expected="a checkout with a README.md", found="none", fix="run it in the repository")
    hits: list[Hit] = []
    for path in _prose(root):
        name = path.relative_to(root).as_posix()
        text = _text(path)
        hits += prose(text, name)
        hits += _required(text, name)
    for name in REQUIRED:
        if not (root / name).is_file():
            hits.append(_hit(name, 1, "required", "no file", "it must say: " + ", ".join(REQUIRED[name])))
    for path in sorted((root / CODE).rglob("*.py")):
        if "__pycache__" not in path.parts:
            hits += docstrings(_text(path), path.relative_to(root).as_posix())
    return tuple(sorted(hits, key=lambda hit: (hit.path, hit.line, hit.rule, hit.found)))


def prose(text: str, name: str) -> Iterator[Hit]:
    """Broken rules in a page of prose, and an acronym that nothing expands."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from _line(line, name, number, "prose")
    acronym = _ACRONYM.search(text)
    expansion = _EXPANDED.search(re.sub(r"\s+", " ", text))
    if acronym and name.endswith(".md") and expansion is None:
        place = text.count("\n", 0, acronym.start()) + 1
        yield _hit(name, place, "first-use", "TAC", 'expand it on the page: "task-aware compression (TAC)"')


def docstrings(text: str, name: str) -> Iterator[Hit]:
    """Broken rules in the docstrings of a module."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        yield _hit(name, 1, "unreadable", "no Python", "a guard that cannot read a file does not pass it")
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            for offset, line in enumerate(first.value.value.splitlines()):
                yield from _line(line, name, first.lineno + offset, "docstrings")


def _line(line: str, name: str, number: int, where: str) -> Iterator[Hit]:
    if QUOTED in line:
        return
    # A link's target and inline code are names of things, not words about them.
    bare = re.sub(r"\]\([^)]*\)|`[^`]*`|https?://\S+|(?:href|src|id|class)=\"[^\"]*\"|\{\{.*?\}\}|\{%.*?%\}", " ", line)
    for rule in RULES:
        if rule.where in ("both", where):
            for match in re.finditer(
                rule.pattern, bare, re.IGNORECASE if rule.name not in ("bare-heading", "grade") else 0
            ):
                yield _hit(name, number, rule.name, match.group(0).strip()[:80], rule.instead, rule.severity)


def _required(text: str, name: str) -> Iterator[Hit]:
    plain = re.sub(r"[\s*_`]+", " ", text).lower()
    for phrase in REQUIRED.get(name, ()):
        if phrase.lower().replace("_", " ") not in plain:
            yield _hit(name, 1, "required", f"no {phrase!r}", "this file must say it")


def _prose(root: Path) -> Iterator[Path]:
    for name in PROSE:
        if (root / name).is_file():
            yield root / name
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
                yield path


def _text(path: Path) -> str:
    return path.read_bytes()[:FILE_LIMIT_BYTES].decode("utf-8", errors="replace")


def _hit(path: str, line: int, rule: str, found: str, instead: str, severity: str = "error") -> Hit:
    return Hit(path=path, line=line, rule=rule, found=found, instead=instead, severity=severity)
