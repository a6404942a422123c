"""Poses of all pairs as bytes: each dimension on a grid of its own, each column coded in its own way.

A dimension is kept either in half precision, as the integer that orders its values, or as int8 codes of one step in
half precision. A payload is the shorter of

    see `posecolumns`: shapes and predictions from a fixed table, two bytes a dimension beside its grid
    table length (varint) | table of codes, see `columns` | one step per dimension (f16, 0 where values are halves)

The first byte tells them apart: up to 8 it is the number of dimensions, and no table is that short.

References:
    Public entries keep dimension 0 (speed) in half precision and the rest in int8, as per-dimension differences under
    a discretised Laplace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Reader, Section, varint
from lab.entropy import columns, posecolumns
from lab.entropy.bounds import Account
from lab.entropy.models import Integers
from lab.errors import BitstreamError, EntropyError

MOST_CODE = 127
MOST_HALF = 0x7BFF  # 65,504, the largest finite half


@dataclass(frozen=True, slots=True, kw_only=True)
class Poses:
    """Poses on their grids.

    Attributes:
        codes: int64 (pairs, dimensions): ordered halves, -31,743 to 31,743, or int8 codes.
        steps: float16 (dimensions,): 0 where codes are halves.
    """

    codes: Integers
    steps: NDArray[np.float16]

    def values(self) -> NDArray[np.float32]:
        """What a decoder hands on, float32 (pairs, dimensions)."""
        scaled = self.codes.astype(np.float32) * self.steps.astype(np.float32)
        return np.where(self.steps[None] == 0, _halves(self.codes).astype(np.float32), scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedPoses:
    """The bytes of poses and what they are made of."""

    payload: bytes
    account: Account
    sections: tuple[Section, ...]


def quantise(poses: NDArray[np.floating], halves: tuple[int, ...] = (0,)) -> Poses:
    """Poses on the grids of the public entries: some dimensions as halves, the rest in 255 steps up to their maximum.

    Args:
        poses: (pairs, dimensions), finite, within half precision.
        halves: dimensions kept in half precision.

    Raises:
        ValueError: numbers that are not finite, or beyond half precision.
    """
    if poses.ndim != 2 or not np.isfinite(poses).all() or (np.abs(poses) > 65_504).any():
        raise ValueError(f"poses must be finite halves of shape (pairs, dimensions), got {poses.shape}")
    largest = np.abs(poses).max(axis=0, initial=0.0)
    steps = np.maximum(largest / MOST_CODE, 2.0**-24).astype(np.float16)
    codes = np.clip(np.rint(poses / steps.astype(np.float32)), -MOST_CODE, MOST_CODE).astype(np.int64)
    for at in halves:
        steps[at] = 0
        codes[:, at] = _ordered(poses[:, at].astype(np.float16))
    return Poses(codes=codes, steps=steps)


def encode(poses: Poses) -> CodedPoses:
    """The bytes of poses on their grids.

    Raises:
        EntropyError: nothing, too much, or codes that are not on their grids.
    """
    limits = np.where(poses.steps == 0, MOST_HALF, MOST_CODE)
    if poses.codes.ndim != 2 or (np.abs(poses.codes) > limits).any():
        raise EntropyError("poses", expected="codes on their grids, (pairs, dimensions)", found=str(poses.codes.shape))
    table = _table(poses)
    try:
        lean, sections, ideal_bits = posecolumns.encode(poses.codes, poses.steps)
    except EntropyError:
        return table
    if len(lean) >= len(table.payload):
        return table
    account = replace(table.account, n_bytes=len(lean), ideal_bits=ideal_bits)
    return CodedPoses(payload=lean, account=account, sections=sections)


def _table(poses: Poses) -> CodedPoses:
    """Poses as a table whose columns choose among all models."""
    steps = poses.steps.astype("<f2").tobytes()
    table = columns.encode(poses.codes, sealed=steps)
    head = varint(len(table.payload))
    payload = head + table.payload + steps
    at = len(head) + len(table.payload)
    sections = (
        Section(name="length", kind="varint", offset=0, n_bytes=len(head)),
        *(section.shifted(len(head)) for section in table.sections),
        Section(name="steps", kind="f16", offset=at, n_bytes=len(steps)),
    )
    account = Account(
        n_bytes=len(payload),
        ideal_bits=table.account.ideal_bits + 8 * (len(head) + len(steps)),
        bound_bits=table.account.bound_bits,
        bound=table.account.bound,
    )
    return CodedPoses(payload=payload, account=account, sections=sections)


def decode(payload: bytes, *, most_values: int = columns.MOST_VALUES) -> Poses:
    """The poses of a payload.

    Args:
        payload: what `encode` wrote.
        most_values: larger declared tables are refused before memory is taken.

    Raises:
        BitstreamError: not a payload of ours, cut short, or damaged.
    """
    reader = Reader(payload, "poses")
    if payload and payload[0] <= posecolumns.MOST_COLUMNS:
        codes, grids = posecolumns.decode(reader, most_values)
        return Poses(codes=codes, steps=grids)
    table = reader.take(reader.varint("length of the table"), "table")
    steps = reader.take(reader.remaining, "steps")
    codes = columns.decode(table, sealed=steps, most_values=most_values)
    if len(steps) != 2 * codes.shape[1]:
        raise BitstreamError("poses, steps", expected=f"{codes.shape[1]} halves", found=f"{len(steps):,} bytes")
    return Poses(codes=codes, steps=np.frombuffer(steps, "<f2").astype(np.float16))


def _ordered(halves: NDArray[np.float16]) -> Integers:
    """Integers that order as the halves do; both zeros are 0."""
    bits = halves.view(np.int16).astype(np.int64)
    return np.where(bits >= 0, bits, -(bits & 0x7FFF))


def _halves(ordered: Integers) -> NDArray[np.float16]:
    """What `_ordered` made integers of."""
    bits = np.where(ordered >= 0, ordered, -ordered | 0x8000) & 0xFFFF
    return np.ascontiguousarray(bits.astype(np.uint16)).view(np.float16)
