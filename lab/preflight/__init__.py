"""Preflight: what must hold before time is spent on a run. Every check is a small named function with one claim.

    machine      Python, packages, threads, disk, memory, walls, file system
    material     the contract: source, networks, sizes, formula
    question     the recipe: family, parameters, parent, one changed axis
    instruments  the networks: frozen, alive, the same twice; distortion of nothing is nothing
    decoder      a trial on two pairs: same bytes twice, tiling, refusal of damage, packet, inflation inside walls
    books        the ledger: writable, whole, free of this run

A check returns what it saw, or raises. A check that cannot run is a refusal: nothing passes because nobody looked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.preflight import books, decoder, instruments, machine, material, question
from lab.preflight.subject import Refused, Subject

Monitor = Callable[[str, int, int], None]
AREAS = (machine, material, question, instruments, decoder, books)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim: its name (area.what-holds), the claim in words, and the function that looks."""

    name: str
    claim: str
    look: Callable[[Subject], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check saw; `ran` is false where it could not look at all."""

    name: str
    claim: str
    passed: bool
    ran: bool
    what: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"check": self.name, "claim": self.claim, "passed": self.passed, "ran": self.ran, "what": self.what}


def checks() -> tuple[Check, ...]:
    """Every check, in the order in which they are made: cheap ones first."""
    return tuple(
        Check(
            name=f"{area.__name__.rpartition('.')[2]}.{look.__name__.replace('_', '-')}",
            claim=(look.__doc__ or "").partition("\n")[0].rstrip("."),
            look=look,
        )
        for area in AREAS
        for look in area.CHECKS
    )


def run(subject: Subject, monitor: Monitor = lambda *_: None) -> tuple[Result, ...]:
    """Make every check on what is about to be run."""
    table = checks()
    results = []
    for number, check in enumerate(table):
        monitor("preflight", number, len(table))
        results.append(make(check, subject))
    monitor("preflight", len(table), len(table))
    return tuple(results)


def make(check: Check, subject: Subject) -> Result:
    """Make one check; whatever it raises is a refusal."""
    try:
        seen, passed, ran = check.look(subject), True, True
    except Refused as refusal:
        seen, passed, ran = str(refusal), False, True
    except Exception as error:  # a check that cannot run is a refusal, whatever kept it
        seen, passed, ran = f"could not run: {type(error).__name__}: {error}"[:400], False, False
    return Result(name=check.name, claim=check.claim, passed=passed, ran=ran, what=seen)


__all__ = ["Check", "Refused", "Result", "Subject", "checks", "make", "run"]
