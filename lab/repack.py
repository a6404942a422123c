"""Repacks as runs: a recipe that names a recorded run, whose kept archive is taken apart and packed anew.

What is done to a payload stands in `lab.codecs.repacks`; here it is fetched from the ledger. The new payload is packed,
decoded and measured like any other, and its parent is the run that it was made from. A recipe that trains may begin
with such an archive as well.
"""

from __future__ import annotations

from lab import archive, custody
from lab.codecs import repacks
from lab.contract import Contract
from lab.errors import LedgerError, RecipeError
from lab.ledger import Ledger, Run
from lab.recipe import Recipe


def made(asked: Recipe, contract: Contract, ledger: Ledger) -> repacks.Repack:
    """What a recipe that repacks a run asks for, made from the archive that the ledger keeps of that run.

    Raises:
        RecipeError: the run is of another family, or its payload has no such repack.
        LedgerError: the run is not on record, or its archive is not kept.
    """
    if asked.repacked is None:
        raise RecipeError(f"recipe {asked.name!r}", expected="`repack` and `repack_of`", found="no repack")
    name, identifier = asked.repacked
    run = ledger.get(contract, identifier)
    if run.family != asked.family:
        raise RecipeError(
            f"recipe {asked.name!r}", expected=f"family {run.family!r} of run {run.id}", found=asked.family
        )
    return repacks.repack(kept_payload(run, ledger), run.family, name)


def started(asked: Recipe, contract: Contract, ledger: Ledger) -> bytes:
    """The payload that a recipe begins with: of the run that its parameter `start` names, which must be of its parent.

    Raises:
        RecipeError: the run is of another recipe.
        LedgerError: the run is not on record, or its archive is not kept.
    """
    run = ledger.get(contract, str(asked.params["start"]))
    if run.recipe != asked.parent:
        raise RecipeError(
            f"recipe {asked.name!r}", expected=f"`start` to be a run of its parent {asked.parent!r}", found=run.recipe
        )
    return kept_payload(run, ledger)


def kept_payload(run: Run, ledger: Ledger) -> bytes:
    """The payload inside of the archive that the ledger keeps of a run.

    Raises:
        LedgerError: it keeps none, or one of another digest.
        PacketError: what it keeps is no archive with one payload.
    """
    digest = run.data["custody"]["archive_sha256"]
    path = ledger.archive(run.contract, digest)
    if not path.is_file():
        raise LedgerError(
            f"run {run.id}", expected="an archive that the ledger keeps", found=f"none; it is {run.verdict}"
        )
    data = path.read_bytes()
    if custody.sha256_bytes(data) != digest:
        raise LedgerError(f"archive of run {run.id}", expected=f"digest {digest[:16]}", found="another")
    found = [member.content for member in archive.parse(data, run.id) if member.content[:1] == b"\xa7"]
    if len(found) != 1:
        raise LedgerError(f"archive of run {run.id}", expected="one payload of ours", found=f"{len(found)}")
    return found[0]


def parent_run(asked: Recipe, contract: Contract, ledger: Ledger, axis: str) -> Run:
    """The very run that a repack is made from; a parent of the same name would not do.

    Raises:
        RecipeError: it is of another recipe, axis or state of the contract.
    """
    assert asked.repacked is not None
    run = ledger.get(contract, asked.repacked[1])
    same = (run.recipe, run.axis, run.data["contract_sha256"]) == (asked.parent, axis, contract.digest)
    if not same:
        raise RecipeError(
            f"recipe {asked.name!r}",
            expected=f"a run of {asked.parent!r} under {contract.name} as it is, on {axis}",
            found=f"{run.id}: {run.recipe} on {run.axis}",
            fix="`lab search repack RUN_ID --recipes FOLDER` writes recipes that fit their run",
        )
    return run
