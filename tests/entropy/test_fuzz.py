"""Damaged streams end in one clear error: never in another content, a crash, a hang or memory beyond their bound.

A mutation that leaves the content as it was (a byte that no decoder looks at) may be accepted; nothing else may.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from material import MODELS, poses, weights

from lab.entropy import lossless, posestream, sideinfo, weightstate, weightstream
from lab.entropy.coders import Coder
from lab.entropy.streams import Stream
from lab.entropy.transforms import Delta
from lab.errors import BitstreamError

SECONDS = 2.0  # of processor time, so that a busy machine does not count
MEGABYTES = 300  # over all mutations of a target; the largest table of a model is a tenth of that

Target = tuple[bytes, Callable[[bytes], object]]


def streams() -> dict[str, Target]:
    """A payload of every model and coder, and how its content is read as comparable data."""
    values = np.random.default_rng(1).geometric(0.2, 200) - 1
    out: dict[str, Target] = {}
    for name, model in MODELS.items():
        for coder in Coder:
            stream = Stream(model=model, coder=coder, transforms=() if name == "golomb-rice" else (Delta(),))
            out[f"{name}, {coder.name}"] = (
                stream.encode(values).payload,
                lambda payload, stream=stream: stream.decode(payload, 200).tobytes(),
            )
    return out


def tables() -> dict[str, Target]:
    """Poses, weights by each method, selectors and latents."""
    rng = np.random.default_rng(2)
    tensors = weights(rng)
    shapes = [tensor.shape for tensor in tensors]
    codes = {f"layer{at}": tensor for at, tensor in enumerate(tensors)}
    steps = {name: np.float32(0.25) for name in codes}

    def read_poses(payload: bytes) -> bytes:
        found = posestream.decode(payload, most_values=1 << 14)
        return found.codes.tobytes() + found.steps.tobytes()

    def read_weights(payload: bytes) -> bytes:
        return b"".join(tensor.tobytes() for tensor in weightstream.decode(payload, shapes))

    def read_state(payload: bytes) -> bytes:
        found, steps = weightstate.decode(payload)
        return repr([(name, code.shape, code.tobytes(), float(steps[name])) for name, code in found.items()]).encode()

    selectors = rng.choice(8, 300, p=[0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01])
    latents = np.clip(np.cumsum(rng.normal(0, 9, (80, 5)), axis=0) + 128, 0, 255).astype(np.uint8)
    return {
        "poses": (posestream.encode(posestream.quantise(poses(80))).payload, read_poses),
        "weights, tensors": (weightstream.encode(tensors, methods=("tensors",)).payload, read_weights),
        "weights, mixing": (weightstream.encode(tensors, methods=("mixing",)).payload, read_weights),
        "weights, stored": (weightstream.encode(tensors, methods=()).payload, read_weights),
        "weights, alone": (weightstate.encode(codes, steps).payload, read_state),
        "selectors": (
            sideinfo.encode_selectors(selectors, 3).payload,
            lambda payload: sideinfo.decode_selectors(payload, 3, most_values=1 << 14).tobytes(),
        ),
        "latents": (
            sideinfo.encode_latents(latents).payload,
            lambda payload: sideinfo.decode_latents(payload, signed=False, most_values=1 << 14).tobytes(),
        ),
    }


def containers(folder: Path) -> dict[str, Target]:
    """Small `.tac` files, one for each way of coding a block."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, 300).astype(np.uint8).tobytes()
    contents = {
        "fast": b"road " * 900,
        "balanced": np.cumsum(rng.normal(0, 1, 700)).astype("<f4").tobytes() + noise,
        "small": (b"sky and car " * 90 + noise) * 3,
        "smallest": np.clip(rng.normal(0, 9, 2500), -128, 127).astype(np.int8).tobytes(),
        "stored": noise,
    }

    def read(payload: bytes) -> bytes:
        back = folder / "back"
        (folder / "mutated.tac").write_bytes(payload)
        try:
            lossless.decompress(folder / "mutated.tac", back, replace=True, most_bytes=1 << 24)
        except BaseException:
            assert sorted(path.name for path in folder.iterdir()) == ["c.tac", "in", "mutated.tac"]
            raise
        content = back.read_bytes()
        back.unlink()
        return content

    out: dict[str, Target] = {}
    for name, content in contents.items():
        (folder / "in").write_bytes(content)
        profile = "fast" if name == "stored" else name
        lossless.compress(folder / "in", folder / "c.tac", profile=profile, replace=True)
        out[f"tac, {name}"] = (folder / "c.tac").read_bytes(), read
    return out


def mutated(payload: bytes, rng: np.random.Generator) -> bytes:
    """A payload with bits flipped, cut short, with a byte grown, bytes put in or taken out, or parts swapped."""
    data = bytearray(payload)
    near = min(len(data), 24) if rng.random() < 0.5 else len(data)  # heads decide most
    at = int(rng.integers(near))
    kind = int(rng.integers(6))
    if kind == 0:
        for _ in range(int(rng.integers(1, 5))):
            data[int(rng.integers(near))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at] = 255 if rng.random() < 0.5 else min(data[at] + int(rng.integers(1, 64)), 255)
    elif kind == 3:
        data[at:at] = rng.integers(0, 256, int(rng.integers(1, 6))).astype(np.uint8).tobytes()
    elif kind == 4:
        length = int(rng.integers(1, 8))
        del data[at : at + length]
    else:
        length = max(len(data) // 8, 1)
        first, second = sorted(int(place) for place in rng.integers(0, len(data), 2))
        head, tail = data[first : first + length], data[second : second + length]
        data[second : second + length] = head
        data[first : first + length] = tail
    return bytes(data)


def attack(name: str, target: Target, count: int) -> int:
    """Decode `count` mutations; returns how many were refused."""
    payload, read = target
    expected = read(payload)
    rng = np.random.default_rng(sum(name.encode()))
    before, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for _ in range(count):
        broken = mutated(payload, rng)
        start = time.process_time()
        try:
            found = read(broken)
        except BitstreamError:
            refused += 1
        else:
            assert found == expected, f"{name}: accepted {broken[:60].hex()} of {len(broken)} bytes as another content"
        assert time.process_time() - start < SECONDS, f"{name}: {broken[:60].hex()} of {len(broken)} bytes"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, f"{name}: {grown:.0f} MB"
    return refused


def attack_all(targets: dict[str, Target], total: int) -> None:
    """Share `total` mutations among targets; most of them must be refused."""
    each = -(-total // len(targets))
    refused = {name: attack(name, target, each) for name, target in targets.items()}
    print(f"{each * len(targets):,} mutations, {sum(refused.values()):,} refused")
    assert min(refused.values()) > 0.8 * each, refused


def test_damaged_streams_end_in_one_clear_error() -> None:
    attack_all(streams(), 440)


def test_damaged_poses_weights_selectors_and_latents_end_in_one_clear_error() -> None:
    attack_all(tables(), 280)


def test_damaged_containers_end_in_one_clear_error_and_leave_nothing(tmp_path: Path) -> None:
    attack_all(containers(tmp_path), 200)


@pytest.mark.slow
def test_ten_thousand_damaged_streams_end_in_one_clear_error(tmp_path: Path) -> None:
    attack_all(streams(), 4_000)
    attack_all(tables(), 3_500)
    attack_all(containers(tmp_path), 2_500)
