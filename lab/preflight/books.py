"""Preflight of the ledger: it can be written, it is whole, and nothing in it is in the way of this run."""

from __future__ import annotations

import os

from lab import audit, negative
from lab.errors import LabError
from lab.preflight.subject import Subject, refuse


def ledger_is_here(subject: Subject) -> str:
    """There is a ledger folder."""
    if not subject.ledgers.is_dir():
        raise refuse("ledger", expected="a folder", found="none", fix="--ledgers FOLDER")
    return "present"


def ledger_can_be_written(subject: Subject) -> str:
    """Records can be appended."""
    folder = subject.ledger.folder(subject.contract.name)
    place = folder if folder.is_dir() else subject.ledgers
    if not os.access(place, os.W_OK | os.X_OK):
        raise refuse(f"ledger of {subject.contract.name}", expected="a folder that can be written", found="read-only")
    return "writable"


def records_can_be_read(subject: Subject) -> str:
    """Every record of the contract holds together."""
    return f"{len(subject.runs)} records"


def ledger_holds_together(subject: Subject) -> str:
    """An audit of every total, digest, grade and link finds nothing."""
    found = subject.observe("audit", lambda: audit.verify(subject.ledgers))
    if found.findings:
        raise refuse("ledger", expected="no finding", found=f"{len(found.findings)}: {found.findings[0]}")
    return f"{found.records} records"


def promoted_archives_are_kept(subject: Subject) -> str:
    """Archives and runtimes of promoted runs lie in the ledger."""
    lost = [
        run.id
        for run in subject.runs
        if run.verdict == "promoted" and not subject.ledger.places(run.data).runtime.is_file()
    ]
    if lost:
        raise refuse("ledger", expected="the runtime of every promoted run", found="none of " + ", ".join(lost))
    return "kept"


def negative_lanes_can_be_read(subject: Subject) -> str:
    """Records of dead lanes hold together, so that a gate can ask them."""
    try:
        lanes = negative.load(subject.ledgers)
    except LabError as error:
        raise refuse("negative", expected="records of lanes that hold together", found=error) from None
    return f"{len(lanes)} lanes"


CHECKS = (
    ledger_is_here,
    ledger_can_be_written,
    records_can_be_read,
    ledger_holds_together,
    promoted_archives_are_kept,
    negative_lanes_can_be_read,
)
