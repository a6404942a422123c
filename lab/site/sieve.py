"""Every rule's texts looked for in one pass over the bytes, then each line that holds one asked exactly.

A rule's needles are compiled into one automaton (hyperscan), which passes over a page in microseconds where asking for
three hundred texts one by one takes milliseconds. What it reports is a superset; the pattern of the rule or the
detector decides, on the line and the one after it. A line asked once is not asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import hyperscan

from lab.site import rules

REMEMBERED_LINE = 4_000  # characters; longer lines hardly ever occur twice
# signs whose lower case is a letter of ASCII to Python, though not to an automaton of bytes
_LOWERED = {"\u212a": "k", "\u0130": "i"}


class Sieve:
    """The automaton of all rules and detectors and of the names of a machine."""

    def __init__(self, names: Sequence[str]) -> None:
        texts: list[tuple[str, str, bool]] = []  # rule, pattern of bytes, does case count?
        for rule, each in rules.RULES.items():
            texts += [(rule, text, False) for text in ([each.first] if each.first else map(re.escape, each.needles))]
        for detector, needles in rules.DETECTORS.items():
            first = rules.FIRST.get(detector)
            exact = not any(pattern.flags & re.IGNORECASE for pattern in rules.detectors()[detector].denylist)
            texts += [(detector, text, exact) for text in ([first] if first else map(re.escape, needles))]
        texts += [(sign, sign, True) for sign in _LOWERED]
        self._names = {f"name {name}": name.lower() for name in names}
        texts += [(key, re.escape(name), False) for key, name in self._names.items() if name.isascii()]
        self._foreign = [name for name in self._names.values() if not name.isascii()]
        self._rules = [rule for rule, _, _ in texts]
        self._here = {kind: [self._of(rule, kind) for rule in self._rules] for kind in ("html", "svg", "text")}
        self._asked: dict[tuple[str, str], str] = {}
        self._automaton: Any = hyperscan.Database()
        self._automaton.compile(
            expressions=[text.encode() for _, text, _ in texts],
            ids=list(range(len(texts))),
            elements=len(texts),
            flags=[0 if exact else hyperscan.HS_FLAG_CASELESS for _, _, exact in texts],
        )

    def hits(self, data: bytes, kind: str) -> Iterator[tuple[int, str]]:
        """(number of the line from 1, rule) of every hit in a text in UTF-8; `kind` is html, svg or another word."""
        found: set[tuple[int, str]] = set()
        if data:
            places: list[tuple[int, int]] = []
            self._automaton.scan(data, match_event_handler=lambda index, _, end, *__: places.append((index, end)))
            if any(self._rules[index] in _LOWERED for index, _ in places):  # looked at as Python reads it
                for sign, letter in _LOWERED.items():
                    data = data.replace(sign.encode(), letter.encode())
                yield from self.hits(data, kind)
                return
            here = self._here.get(kind, self._here["text"])
            for rule, start in {(here[index], data.rfind(b"\n", 0, end) + 1) for index, end in places if here[index]}:
                if said := self._ask(rule, data, start):
                    found.add((start, said))
        if self._foreign:
            start = 0
            for line in data.split(b"\n"):
                lowered = line.decode("utf-8", "replace").lower()
                if any(name in lowered for name in self._foreign):
                    found.add((start, MACHINE))
                start += len(line) + 1
        for start, said in sorted(found):
            yield data.count(b"\n", 0, start) + 1, said

    @staticmethod
    def _of(rule: str, kind: str) -> str:
        """A rule where it goes for texts of a kind, else nothing."""
        known = rules.RULES.get(rule)
        return rule if known is None or not known.kinds or kind in known.kinds else ""

    def _ask(self, rule: str, data: bytes, start: int) -> str:
        """What a rule says of the line that begins at `start`; empty where nothing."""
        known = rules.RULES.get(rule)
        end = data.find(b"\n", start) % (len(data) + 1)  # where nothing is found, -1 becomes the end
        if known and r"\s" in known.pattern.pattern:  # it may go on in the next line
            end = data.find(b"\n", end + 1) % (len(data) + 1) if end < len(data) else end
        lines = data[start:end].decode("utf-8", "replace")
        if len(lines) > REMEMBERED_LINE:
            return self._say(rule, lines)
        if (rule, lines) not in self._asked:
            self._asked[rule, lines] = self._say(rule, lines)
        return self._asked[rule, lines]

    def _say(self, rule: str, lines: str) -> str:
        if rule in self._names:
            return MACHINE
        if rule in rules.RULES:
            hit = rules.RULES[rule].pattern.search(lines)
            return rule if hit and "\n" not in lines[: hit.start()] else ""
        exactly = rules.EXACTLY.get(rule)
        if exactly and not exactly.search(lines):
            return ""
        detector = rules.detectors()[rule]
        return f"token: {detector.secret_type}" if detector.analyze_line(filename="", line=lines) else ""


MACHINE = "name of the building machine or its user"
