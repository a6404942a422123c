"""`lab contract fetch`: the official contest's video and networks, from its repository or from a folder, verified.

The files are large objects of the public repository (git-lfs). They are the contest's, so they are never shipped here;
they lie under the contract's `files/`, which version control ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import custody
from lab.contract import FILE_NAME, Contract
from lab.errors import ContractError, CustodyError, DigestMismatch

Monitor = Callable[[str, int, int], None]
CLONE_LIMIT_S = 900
_POINTER = b"version https://git-lfs"
_POINTER_LIMIT_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file to fetch: its place in the repository, its place here, and what it must be."""

    upstream: str
    target: Path
    n_bytes: int
    sha256: str


def wanted(contract: Contract) -> tuple[str, tuple[Wanted, ...]]:
    """(address of the repository, the files that the contract needs from it).

    Raises:
        ContractError: the contract does not come from a repository.
    """
    told: dict[str, Any] = tomllib.loads((contract.root / FILE_NAME).read_text(encoding="utf-8")).get("upstream", {})
    if not told:
        raise ContractError(
            f"contract {contract.name!r}", expected="a contract whose files are fetched", found="one that has its own",
            fix="only comma-2026 is fetched",
        )  # fmt: skip
    digests = {contract.source.file: contract.source.sha256}
    digests.update({network.weights: network.sha256 for network in contract.networks.values()})
    files = tuple(
        Wanted(upstream=place, target=contract.root / item["file"], n_bytes=item["bytes"], sha256=digests[item["file"]])
        for place, item in sorted(told["files"].items())
    )
    return str(told["repository"]), files


def fetch(contract: Contract, *, source: Path | None, monitor: Monitor) -> list[Path]:
    """Bring the contract's files in place and return those that were missing.

    Args:
        source: a folder that has them, laid out as the repository or flat; without it the repository is cloned.

    Raises:
        ContractError: the folder lacks a file, or cloning is not possible.
        DigestMismatch: a file is not the published one; what was in place stays.
    """
    repository, files = wanted(contract)
    missing = [item for item in files if not _stands(item)]
    if not missing:
        return []
    if source is not None:
        return _take(missing, source, monitor)
    with tempfile.TemporaryDirectory(prefix="fetch-") as folder:
        clone = Path(folder) / "contest"
        _clone(repository, clone, [item.upstream for item in missing], monitor)
        return _take(missing, clone, monitor)


def _stands(item: Wanted) -> bool:
    try:
        custody.expect_file(item.target, item.sha256, item.target.name)
    except CustodyError:
        return False
    return True


def _take(items: list[Wanted], source: Path, monitor: Monitor) -> list[Path]:
    """Copy files out of a folder: all are verified before the first one is put in place."""
    drafts: list[tuple[Path, Path]] = []
    try:
        for number, item in enumerate(items):
            monitor("verifying", number, len(items))
            found = _locate(item, source)
            item.target.parent.mkdir(parents=True, exist_ok=True)
            draft = item.target.with_name(f".{item.target.name}.{os.getpid()}.partial")
            drafts.append((draft, item.target))
            shutil.copyfile(found, draft)
            digest = custody.sha256_file(draft)
            if digest != item.sha256:
                raise DigestMismatch(
                    item.upstream, expected=f"sha256 {item.sha256[:16]}…", found=f"{digest[:16]}…",
                    fix="it is not the published file; nothing was taken",
                )  # fmt: skip
        for draft, target in drafts:
            draft.replace(target)
        monitor("verifying", len(items), len(items))
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
    return [target for _, target in drafts]


def _locate(item: Wanted, source: Path) -> Path:
    candidates = (source / item.upstream, source / Path(item.upstream).name)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise ContractError(
            f"folder {source.name}", expected=item.upstream, found="nothing there", fix="give a checkout of the contest"
        )
    n_bytes = found.stat().st_size
    if n_bytes <= _POINTER_LIMIT_BYTES and found.read_bytes().startswith(_POINTER):
        raise ContractError(
            item.upstream, expected=f"{item.n_bytes:,} bytes", found="a git-lfs pointer", fix="run `git lfs pull` there"
        )
    if n_bytes != item.n_bytes:
        raise ContractError(item.upstream, expected=f"{item.n_bytes:,} bytes", found=f"{n_bytes:,}")
    return found


def _clone(repository: str, target: Path, files: list[str], monitor: Monitor) -> None:
    for program in ("git", "git-lfs"):
        if shutil.which(program) is None:
            raise ContractError(
                "fetching", expected=f"the program {program}", found="none",
                fix=f"install {program}, or clone {repository} elsewhere and use --from DIR",
            )  # fmt: skip
    monitor("cloning", 0, 2)
    _git(["clone", "--quiet", "--depth", "1", repository, str(target)], repository)
    monitor("cloning", 1, 2)
    # Without its filters, which many machines lack, `lfs pull` ends well and leaves pointers behind.
    _git(["-C", str(target), "lfs", "install", "--local"], repository)
    _git(["-C", str(target), "lfs", "pull", "--include", ",".join(files)], repository)
    monitor("cloning", 2, 2)


def _git(arguments: list[str], repository: str) -> None:
    # Large objects are left as pointers while cloning and pulled by name afterwards; nothing may ask for a password.
    plain = ["-c", "filter.lfs.smudge=cat", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"]
    try:
        done = subprocess.run(
            ["git", *(plain if "clone" in arguments else []), *arguments],
            capture_output=True, text=True, timeout=CLONE_LIMIT_S, check=False, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContractError("fetching", expected=f"an answer from {repository}", found=type(error).__name__) from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ContractError(
            "fetching", expected=f"a clone of {repository}", found=said[:160],
            fix="clone it where the network allows, and use --from DIR",
        )  # fmt: skip
