"""The submission packet: an archive, what inflates it, and the evidence, complete in one folder.

    archive.zip                 the bytes that are charged
    inflate.sh                  the judge's entry point: inflate.sh ARCHIVE_DIR INFLATED_DIR NAMES_FILE
    runtime/                    the decoder closure, nothing else
    requirements.txt            what the runtime imports, with the versions that were used
    recipe.toml contract.toml record.json report.txt evaluation.json anatomy.json pairs.csv      the evidence
    compliance.json release_manifest.json CITATION.cff ro-crate-metadata.json README.md          the papers
    manifest-sha256.txt         digests of all of it

A packet of a recorded run is made from the ledger alone, without the bench; the same record gives the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from lab import archive, comply, custody, documents, facts
from lab import runtime as runtimes
from lab.contract import FILE_NAME, Contract
from lab.errors import PacketError
from lab.ledger import Ledger, Run, plain
from lab.runtime import Runtime

MANIFEST = custody.MANIFEST
FROM_LEDGER = ("report.txt", "evaluation.json", "anatomy.json", "recipe.toml", "pairs.csv")


def build(target: Path, payload: bytes, decoder: Runtime, *, title: str) -> Path:
    """Write a packet without evidence into a new folder, complete or not at all.

    Raises:
        PacketError: the folder exists.
    """
    readme = _BARE_README.format(title=documents.inert(title), manifest=MANIFEST)
    requirements = runtimes.pin(decoder.requirements, custody.versions(decoder.requirements))
    return write(target, {**_body(archive.write(payload), decoder, requirements), "README.md": readme.encode()})


def of_run(
    target: Path,
    run: Run,
    contract: Contract,
    ledger: Ledger,
    *,
    archive_data: bytes | None = None,
    decoder: Runtime | None = None,
    urls: Mapping[str, str] | None = None,
) -> Path:
    """Write the complete packet of a recorded run into a new folder.

    Args:
        archive_data: the archive, where the ledger does not keep it (made again from the recipe).
        decoder: the runtime tree, where the ledger does not keep it.
        urls: public addresses for the release manifest, see `documents.PLACEHOLDERS`.

    Raises:
        PacketError: the folder exists, or archive or runtime of the record cannot be had; the message says how.
        DigestMismatch: what lies on disk is not what the record names.
    """
    data = run.data
    if data["contract_sha256"] != contract.digest:
        raise PacketError(
            f"run {run.id}", expected=f"contract {contract.name} as it was measured under",
            found=f"state {contract.digest[:16]}…", fix=f"check out commit {data['custody']['commit']}",
        )  # fmt: skip
    charged = archive_data if archive_data is not None else _archive_of(run, ledger)
    if custody.sha256_bytes(charged) != data["custody"]["archive_sha256"]:
        raise PacketError(
            f"run {run.id}", expected=f"the archive {data['custody']['archive_sha256'][:16]}…",
            found=f"{custody.sha256_bytes(charged)[:16]}…", fix="restore the archive from version control",
        )  # fmt: skip
    tree = decoder or runtime_of_run(run, ledger)
    requirements = runtimes.pin(runtimes.imports(tree.files), data["custody"]["versions"])
    folder = ledger.evidence(contract.name, run.id)
    files = _body(charged, tree, requirements)
    for name in (*FROM_LEDGER, facts.REPLAY_FILE):
        if (folder / name).is_file():
            files[name] = (folder / name).read_bytes()
        elif name != facts.REPLAY_FILE:
            raise PacketError(f"run {run.id}", expected=f"evidence/{name}", found="nothing there")
    files["record.json"] = plain(data).encode()
    files[FILE_NAME] = (contract.root / FILE_NAME).read_bytes()
    files["README.md"] = documents.readme(run, contract, requirements).encode()
    files["CITATION.cff"] = documents.citation(run, contract).encode()
    files["release_manifest.json"] = plain(documents.release_manifest(run, contract, urls)).encode()
    return write(target, files, finish=lambda draft: _papers(draft, files, run, contract))


def _papers(draft: Path, files: dict[str, bytes], run: Run, contract: Contract) -> None:
    """What can only be written once everything else lies there: the compliance report and the crate."""
    kept = run.data["custody"]
    found = comply.check(draft, contract, sha256=kept["archive_sha256"], n_bytes=run.archive_bytes)
    late = {"compliance.json": plain(found.as_dict()).encode()}
    late["ro-crate-metadata.json"] = documents.crate({**files, **late}, run, contract).encode()
    for name, content in late.items():
        (draft / name).write_bytes(content)


def _archive_of(run: Run, ledger: Ledger) -> bytes:
    path = ledger.archive(run.contract, run.data["custody"]["archive_sha256"])
    if not path.is_file():
        raise PacketError(
            f"run {run.id}", expected="its archive in the ledger", found="none kept",
            fix=f"`lab packet build {run.id} --encode` makes it again from its recipe",
        )  # fmt: skip
    return path.read_bytes()


def runtime_of_run(run: Run, ledger: Ledger) -> Runtime:
    """The runtime tree of a recorded run: the one in the ledger, else that of this checkout if it is the same.

    Raises:
        PacketError: neither has it.
    """
    digest = str(run.data["custody"]["runtime_sha256"])
    path = ledger.runtime(run.contract, digest)
    if path.is_file():
        return runtimes.unpack(path, digest, run.family)
    today = runtimes.of_family(run.family)
    if today.sha256 != digest:
        commit = run.data["custody"]["commit"]
        raise PacketError(
            f"runtime of run {run.id}",
            expected=f"the tree {digest[:16]}…",
            found=f"{today.sha256[:16]}… in this checkout",
            fix=f"`git worktree add ../at-{commit[:10]} {commit}` and build the packet there",
        )
    return today


def _body(charged: bytes, decoder: Runtime, requirements: tuple[str, ...]) -> dict[str, bytes]:
    files = {"archive.zip": charged, runtimes.ENTRY: decoder.entry}
    files |= {f"{runtimes.FOLDER}/{name}": content for name, content in decoder.files.items()}
    files["requirements.txt"] = "".join(f"{line}\n" for line in requirements).encode()
    return files


def write(target: Path, files: Mapping[str, bytes], finish: Callable[[Path], None] | None = None) -> Path:
    """Write files and their manifest into a new folder that appears complete or not at all.

    Args:
        finish: adds what depends on the rest, before the manifest is written.

    Raises:
        PacketError: the folder exists.
    """
    if target.exists() or target.is_symlink():
        raise PacketError(
            f"packet {target.name}", expected="a new folder", found="one that exists", fix="choose another -o"
        )
    draft = target.with_name(f".{target.name}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(parents=True)
    try:
        for name, content in sorted(files.items()):
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if name == runtimes.ENTRY else 0o644)
        if finish is not None:
            finish(draft)
        custody.seal(draft)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


_BARE_README = """# Submission packet: {title}

Check every byte, install what the decoder imports, inflate:

    sha256sum -c {manifest}
    python3 -m pip install -r requirements.txt
    mkdir -p archive inflated && unzip -o archive.zip -d archive
    echo 0.mkv > names.txt
    ./inflate.sh archive inflated names.txt

`inflated/0.raw` then holds uint8 RGB frames in display order, C order, without a header. The decoder is `runtime/`; it
reads the archive and nothing else. This packet carries no evidence: nobody has measured it yet.
"""
