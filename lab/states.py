"""The texts of a contract as it was when runs were measured under it, kept by digest beside their records.

A contract that is frozen anew leaves records behind. With the text of their time they can still be checked: the
formula, the sample count, and the digests of source and networks that they were measured with.
"""

from __future__ import annotations

from pathlib import Path

from lab import contract as contracts
from lab.contract import Contract
from lab.errors import LedgerError
from lab.schema import RECORD_LIMIT_BYTES
from lab.store import write_atomic


def read(path: Path, contract: Contract, sha256: str) -> Contract | None:
    """The contract in the state of this digest, None where its text was not kept.

    Raises:
        LedgerError: what is kept under the digest is not that state.
        ContractError: it is no contract at all.
    """
    if not path.is_file() or path.stat().st_size > RECORD_LIMIT_BYTES:
        return None
    where = f"{contract.name}/states/{path.name}"
    kept = contracts.parse(path.read_text(encoding="utf-8"), contract.root, where)
    if (kept.name, kept.digest) != (contract.name, sha256):
        raise LedgerError(where, expected="the contract of that digest", found=kept.digest[:16])
    return kept


def keep(path: Path, contract: Contract) -> None:
    """Keep the text of a contract that runs are being measured under."""
    text = contract.root / contracts.FILE_NAME
    if not path.is_file() and text.is_file():
        write_atomic(path, text.read_bytes())
