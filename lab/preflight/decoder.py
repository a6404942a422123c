"""Preflight of the decoder: what would be shipped, and a trial of the whole path on two pairs."""

from __future__ import annotations

import numpy as np

from lab import archive, codecs, comply, relocation, runtime
from lab.bitstream import check_tiling
from lab.errors import BitstreamError, LabError
from lab.preflight.subject import TRIAL_PAIRS, Subject, refuse


def closure_is_found(subject: Subject) -> str:
    """The decoder's closure can be walked, and the family ships exactly it."""
    declared = runtime.of_closure(subject.recipe.family, codecs.get(subject.recipe.family).runtime_files())
    if declared.sha256 != subject.tree.sha256:
        raise refuse("closure", expected=f"the tree {subject.tree.sha256[:16]}", found=declared.sha256[:16])
    return f"{len(subject.tree.files)} files, {subject.tree.n_bytes:,} bytes"


def closure_leaves_the_bench_out(subject: Subject) -> str:
    """The decoder ships neither evaluator nor training nor encoder."""
    rooms = ("lab/evaluator/", "lab/training/", "lab/drive/", "lab/search/", "lab/site/")
    found = [name for name in subject.tree.files if name.startswith(rooms) or name.endswith("/encode.py")]
    if found:
        raise refuse("closure", expected="a decoder", found=", ".join(found))
    return "decoder only"


def closure_keeps_the_charge_rule(subject: Subject) -> str:
    """Nothing that must be charged hides in the decoder."""
    reading = relocation.read({**subject.tree.files, runtime.ENTRY: subject.tree.entry})
    if reading.findings:
        raise refuse("charge rule", expected="no finding", found=str(reading.findings[0]))
    return f"mode {reading.mode}, {reading.dense_bytes} bytes of constants"


def requirements_are_declared(subject: Subject) -> str:
    """The card names what the decoder imports."""
    declared = set(codecs.get(subject.recipe.family).spec.requirements)
    found = set(runtime.imports(subject.tree.files))
    if declared != found:
        raise refuse("requirements", expected=", ".join(sorted(found)), found=", ".join(sorted(declared)))
    return ", ".join(sorted(found))


def family_code_is_its_own(subject: Subject) -> str:
    """The payload carries the family's code."""
    spec, payload = codecs.get(subject.recipe.family).spec, subject.trial.stream.payload
    if payload[:2] != bytes([0xA7, spec.code]):
        raise refuse("payload", expected=f"a7{spec.code:02x}", found=payload[:2].hex())
    return payload[:2].hex()


def trial_repeats(subject: Subject) -> str:
    """The same recipe and seed give the same bytes."""
    first, second = subject.trial.stream.payload, subject.trial.again.payload
    if first != second:
        raise refuse(
            "two encodings", expected="the same bytes", found=f"{len(first):,} and {len(second):,} that differ"
        )
    return f"{len(first):,} bytes twice"


def trial_sections_tile(subject: Subject) -> str:
    """Sections account for every byte of the payload."""
    payload = subject.trial.stream.payload
    sections = codecs.get(subject.recipe.family).anatomy(payload).sections
    try:
        check_tiling(sections, 0, len(payload), "payload")
    except BitstreamError as error:
        raise refuse("sections", expected=error.expected, found=error.found) from None
    return f"{len(sections)} sections"


def trial_decodes_to_every_pair(subject: Subject) -> str:
    """The trial decodes to all of its pairs, of the right shape and type."""
    found = subject.trial.decoded
    wanted = (TRIAL_PAIRS, 2, *subject.contract.frame_size, 3)
    if found.shape != wanted or found.dtype != np.uint8:
        raise refuse("decoded pairs", expected=f"uint8 {wanted}", found=f"{found.dtype} {found.shape}")
    return f"{len(found)} pairs"


def trial_resembles_the_source(subject: Subject) -> str:
    """Decoded frames are neither constant nor unlike the source in brightness."""
    found, source = subject.trial.decoded.astype(np.float32), subject.pairs.astype(np.float32)
    gap = abs(float(found.mean()) - float(source.mean()))
    # A trial of a trained family has seen two steps: only a broken colour order or range is this far off.
    if gap > 120.0 or not np.isfinite(found).all():
        raise refuse(
            "decoded pairs", expected="the source's brightness within 120 grey levels", found=f"{gap:.0f} apart"
        )
    return f"mean {gap:.1f} grey levels apart"


def damage_is_refused(subject: Subject) -> str:
    """A payload that is cut short anywhere is refused."""
    payload, codec = subject.trial.stream.payload, codecs.get(subject.recipe.family)
    for end in sorted({0, 1, 2, 5, len(payload) // 2, len(payload) - 1}):
        try:
            for _ in codec.decode(payload[:end]):
                pass
        except BitstreamError:
            continue
        raise refuse("a payload cut short", expected="BitstreamError", found=f"none at byte {end:,}")
    return "refused at six places"


def archive_reads_back(subject: Subject) -> str:
    """The trial's archive holds one stored member: the payload."""
    members = archive.read(subject.trial.packet / "archive.zip")
    if len(members) != 1 or members[0].content != subject.trial.stream.payload:
        raise refuse("archive", expected="one member, the payload", found=f"{len(members)} members")
    return f"{members[0].compressed_bytes:,} bytes"


def packet_complies(subject: Subject) -> str:
    """The trial's packet keeps every rule that can be checked without a measurement."""
    failed = comply.check(subject.trial.packet).failed()
    if failed:
        raise refuse("packet", expected="every rule kept", found=f"{failed[0].rule}: {failed[0].what}")
    return "complies"


def inflation_is_the_decode(subject: Subject) -> str:
    """The packet, inflated in a clean process, gives the frames that the encoder's process decodes."""
    if subject.trial.inflated != subject.trial.decoded.tobytes():
        found = np.frombuffer(subject.trial.inflated, np.uint8)
        same = found.size == subject.trial.decoded.size
        share = f"{float((found != subject.trial.decoded.ravel()).mean()):.2%} other bytes" if same else "another size"
        raise refuse("inflated frames", expected="those of the decoder here", found=share)
    return f"{len(subject.trial.inflated):,} bytes agree"


def inflation_meets_the_time_limit(subject: Subject) -> str:
    """Inflating every pair will take less than half of the time limit."""
    estimate = subject.trial.inflate_s * subject.contract.n_pairs / TRIAL_PAIRS
    # Starting the process weighs much in a trial of two pairs, so only a clear excess is refused.
    if subject.trial.inflate_s > subject.contract.time_limit_s / 2:
        raise refuse(
            "inflation", expected=f"under {subject.contract.time_limit_s / 2:.0f} s", found=f"{estimate:.0f} s"
        )
    return f"{subject.trial.inflate_s:.1f} s for two pairs, process start included"


def requirements_are_installed(subject: Subject) -> str:
    """What the decoder imports can be imported here."""
    import importlib.util

    missing = [name for name in subject.tree.requirements if importlib.util.find_spec(name) is None]
    if missing:
        raise refuse("requirements", expected="all installed", found="no " + ", ".join(missing), fix="make setup")
    return ", ".join(subject.tree.requirements) or "none"


def alien_payloads_are_refused(subject: Subject) -> str:
    """Bytes of another kind are refused by name."""
    codec = codecs.get(subject.recipe.family)
    for alien in (b"", b"\x00" * 64, b"PK\x03\x04" + bytes(60), subject.trial.stream.payload[:1] + b"\xff" * 64):
        try:
            for _ in codec.decode(alien):
                pass
        except LabError:
            continue
        raise refuse("alien bytes", expected="BitstreamError", found=f"none for {alien[:4].hex() or 'nothing'}")
    return "refused"


CHECKS = (
    closure_is_found,
    closure_leaves_the_bench_out,
    closure_keeps_the_charge_rule,
    requirements_are_declared,
    requirements_are_installed,
    family_code_is_its_own,
    trial_repeats,
    trial_sections_tile,
    trial_decodes_to_every_pair,
    trial_resembles_the_source,
    damage_is_refused,
    alien_payloads_are_refused,
    archive_reads_back,
    packet_complies,
    inflation_is_the_decode,
    inflation_meets_the_time_limit,
)
