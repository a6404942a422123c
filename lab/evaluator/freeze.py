"""Freeze any video as a contract of one's own: its digest, its sizes, and the networks that will judge it."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import contract as contracts
from lab import custody
from lab.contract import FILE_NAME, Contract, Network
from lab.errors import ContractError
from lab.video import frames

_TEMPLATE = """\
# A contract of your own: everything that makes two scores comparable. Written by `lab contract new`.
name = "{name}"
title = "{title}"
kind = "own"
frame_size = [{height}, {width}]
model_size = [{model_height}, {model_width}]
n_pairs = {n_pairs}
classes = [{classes}]
time_limit_s = {time_limit_s}
note = "{note}"

[source]
file = "source/{file}"
sha256 = "{sha256}"
bytes = {n_bytes}
n_frames = {n_frames}
fps = "{fps}"

[networks.segnet]
factory = "{segnet.factory}"
weights = "{segnet_weights}"
sha256 = "{segnet.sha256}"

[networks.posenet]
factory = "{posenet.factory}"
weights = "{posenet_weights}"
sha256 = "{posenet.sha256}"

[formula]
segnet = {formula.segnet}
posenet = {formula.posenet}
rate = {formula.rate}
"""


def new(name: str, video: Path, ledgers: Path, *, judged_by: Contract) -> tuple[Contract, list[str]]:
    """A new contract for a video, judged by the networks of another contract.

    The video is copied beside the contract, into a folder that version control ignores: freezing a clip does not
    publish it.

    Returns:
        (the contract, remarks that the user should read).

    Raises:
        ContractError: the name is taken or no name, or frames smaller than the model grid.
        VideoError: the file is not a usable video.
    """
    folder = ledgers / name
    if not name.replace("-", "").isalnum() or not name.islower() or not name.isascii():
        raise ContractError(f"contract {name!r}", expected="a name of a-z, 0-9 and dashes", fix="choose another name")
    if name in contracts.names(ledgers) or folder.exists():
        raise ContractError(
            f"contract {name!r}", expected="a free name", found="one that exists", fix="choose another name"
        )
    info = frames.probe(video)
    height, width = info.frame_size
    if height < judged_by.model_size[0] or width < judged_by.model_size[1]:
        raise ContractError(
            f"video {video.name}",
            expected="frames of at least {}x{}, the model grid".format(*judged_by.model_size),
            found=f"{height}x{width}",
            fix="use a larger video",
        )
    if info.n_frames < 2:
        raise ContractError(
            f"video {video.name}", expected="at least one pair of frames", found=f"{info.n_frames} frame"
        )
    remarks = []
    if info.n_frames % 2:
        remarks.append(f"{info.n_frames} frames: the last one has no partner and is left out, as in the contest")
    text = _TEMPLATE.format(
        name=name,
        title=f"{video.stem.replace('_', ' ')}"[:80].replace('"', "").replace("\\", ""),
        height=height,
        width=width,
        model_height=judged_by.model_size[0],
        model_width=judged_by.model_size[1],
        n_pairs=info.n_frames // 2,
        classes=", ".join(f'"{label}"' for label in judged_by.classes),
        time_limit_s=judged_by.time_limit_s,
        note=f"judged by the networks of {judged_by.name}" + (f"; {remarks[0]}" if remarks else ""),
        file="0" + (video.suffix.lower() if video.suffix[1:].isalnum() else ".video"),
        sha256=custody.sha256_file(video),
        n_bytes=video.stat().st_size,
        n_frames=info.n_frames,
        fps=f"{info.fps.numerator}/{info.fps.denominator}",
        segnet=judged_by.networks["segnet"],
        posenet=judged_by.networks["posenet"],
        segnet_weights=_shared(judged_by, judged_by.networks["segnet"]),
        posenet_weights=_shared(judged_by, judged_by.networks["posenet"]),
        formula=judged_by.formula,
    )
    made = contracts.parse(text, folder, f"contract {name!r}")
    draft = ledgers / f".{name}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        (draft / "source").mkdir(parents=True)
        shutil.copyfile(video, draft / made.source.file)
        (draft / FILE_NAME).write_text(text, encoding="utf-8")
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return made, remarks


def _shared(judged_by: Contract, network: Network) -> str:
    """Where another contract finds these weights: beside the contract that ships them."""
    return network.weights if ":" in network.weights else f"{judged_by.name}:{network.weights}"
