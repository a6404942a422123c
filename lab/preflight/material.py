"""Preflight of the contract: the files that are scored are there, whole, and what the contract says of them."""

from __future__ import annotations

from fractions import Fraction

from lab import custody
from lab.errors import LabError
from lab.preflight.subject import Subject, refuse


def source_is_here(subject: Subject) -> str:
    """The source video is there and has the declared size."""
    path, declared = subject.contract.source_path, subject.contract.source.bytes
    if not path.is_file() or path.stat().st_size != declared:
        found = f"{path.stat().st_size:,}" if path.is_file() else "nothing"
        raise refuse("source", expected=f"{declared:,} bytes", found=found, fix="restore or fetch it")
    return f"{declared:,} bytes"


def source_has_its_digest(subject: Subject) -> str:
    """The source video is the one of the contract, byte for byte."""
    return _digest(subject, "source", subject.contract.source.sha256)


def segnet_has_its_digest(subject: Subject) -> str:
    """The weights of SegNet are those of the contract."""
    return _digest(subject, "segnet", subject.contract.networks["segnet"].sha256)


def posenet_has_its_digest(subject: Subject) -> str:
    """The weights of PoseNet are those of the contract."""
    return _digest(subject, "posenet", subject.contract.networks["posenet"].sha256)


def _digest(subject: Subject, what: str, sha256: str) -> str:
    path = subject.contract.source_path if what == "source" else subject.contract.weights_path(what)
    try:
        custody.expect_file(path, sha256, what)
    except LabError as error:
        raise refuse(what, expected=f"sha256 {sha256[:16]}", found=error.found or str(error), fix=error.fix) from None
    return sha256[:16]


def source_has_every_frame(subject: Subject) -> str:
    """The source decodes to as many frames as the contract says."""
    found, declared = subject.video.n_frames, subject.contract.source.n_frames
    if found != declared:
        raise refuse("source", expected=f"{declared:,} frames", found=f"{found:,}")
    return f"{found:,} frames"


def pairs_fit_the_frames(subject: Subject) -> str:
    """The source holds every pair that is scored."""
    needed, held = 2 * subject.contract.n_pairs, subject.contract.source.n_frames
    if needed > held:
        raise refuse("pairs", expected=f"{needed:,} frames", found=f"{held:,}")
    return f"{subject.contract.n_pairs:,} pairs in {held:,} frames"


def frames_have_their_size(subject: Subject) -> str:
    """A decoded frame has the contract's size."""
    size = subject.pairs.shape[2:4]
    if tuple(size) != subject.contract.frame_size:
        raise refuse("frames", expected=str(subject.contract.frame_size), found=size)
    return f"{size[1]} x {size[0]}"


def frame_rate_is_declared(subject: Subject) -> str:
    """The source runs at the contract's frame rate."""
    if subject.video.fps != subject.contract.source.rate:
        raise refuse("frame rate", expected=subject.contract.source.fps, found=subject.video.fps)
    return f"{subject.contract.source.rate} frames per second"


def frames_are_pictures(subject: Subject) -> str:
    """The first frames are neither constant nor all the same."""
    pairs = subject.pairs
    if pairs.std() < 1.0 or (pairs[0] == pairs[-1]).all():
        raise refuse("source", expected="a moving picture", found=f"standard deviation {pairs.std():.2f}")
    return f"standard deviation {pairs.std():.1f} grey levels"


def frames_cover_the_model_grid(subject: Subject) -> str:
    """A frame is at least as large as what the networks read of it."""
    sides = list(zip(subject.contract.frame_size, subject.contract.model_size, strict=True))
    if any(frame < model for frame, model in sides):
        raise refuse(
            "frame size", expected=f"at least {subject.contract.model_size}", found=subject.contract.frame_size
        )
    return " and ".join(f"{Fraction(frame, model)}" for frame, model in sides) + " times the grid"


def formula_rises_with_every_part(subject: Subject) -> str:
    """The score gets worse with every component and every byte."""
    base = {"segnet": 0.01, "posenet": 0.01, "archive_bytes": 1000}
    total = subject.contract.score(**base).total  # type: ignore[arg-type]
    for name, value in base.items():
        worse = subject.contract.score(**{**base, name: value * 2}).total  # type: ignore[arg-type]
        if not worse > total:
            raise refuse("formula", expected=f"a higher score with more {name}", found=f"{total} and {worse}")
    return f"one byte costs {subject.contract.formula.byte_price(subject.contract.source.bytes):.3e}"


def time_limit_is_set(subject: Subject) -> str:
    """There is a time limit that a decoder can meet."""
    if not 1 <= subject.contract.time_limit_s <= 86_400:
        raise refuse("time limit", expected="a second to a day", found=subject.contract.time_limit_s)
    return f"{subject.contract.time_limit_s} s"


def records_are_of_this_state(subject: Subject) -> str:
    """Records of this contract were measured under its present state."""
    stale = sorted(run.id for run in subject.runs if run.data["contract_sha256"] != subject.contract.digest)
    if stale and len(stale) == len(subject.runs):
        raise refuse(
            "contract", expected="records that compare with what comes", found=f"{len(stale)} of another state",
            fix="restore the contract, or give the changed one another name",
        )  # fmt: skip
    return f"{len(subject.runs) - len(stale)} comparable records"


CHECKS = (
    source_is_here,
    source_has_its_digest,
    segnet_has_its_digest,
    posenet_has_its_digest,
    source_has_every_frame,
    pairs_fit_the_frames,
    frames_have_their_size,
    frame_rate_is_declared,
    frames_are_pictures,
    frames_cover_the_model_grid,
    formula_rises_with_every_part,
    time_limit_is_set,
    records_are_of_this_state,
)
