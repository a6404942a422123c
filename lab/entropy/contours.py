"""Contours of label maps as a scan sees them: where runs end, how steps go, what lies behind.

A frame is a flat uint8 array with margins of an outside label; places are offsets into it. The scan goes line by line,
so that earlier lines and the left part of this one are known; every function reads only those of the frame in work.

References:
    H. Freeman, "On the encoding of arbitrary geometric configurations", 1961: chains of directions.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import numpy as np

from lab.entropy.jit import part

# Arguments that kernels hand on are numpy's numbers: a Python constant has a type of its own, and every type of an
# argument is compiled once more.
NEAR, FAR = np.int64(8), np.int64(10)  # reach of a run's end; that of a contour's next step
STEP_LINES = 9
TRACED, TURNS = 60, 8


@part
def fold(state, value):
    """The hash of a sequence that grows by `value`."""
    mixed = (state ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))


@part
def pack(frame, start, count):
    """Up to twelve neighbouring labels as one number."""
    value = np.int64(0)
    for at in range(start, start + count):
        value = value << 5 | np.int64(frame[at])
    return value


@part
def run_end(frame, at, label, reach):
    """Signed distance from `at` to where the run of `label` in its line ends, within +-reach."""
    if frame[at] == label:
        ahead = 1
        while ahead < reach and frame[at + ahead] == label:
            ahead += 1
        return ahead
    back = 0
    while back < reach and frame[at - back - 1] != label:
        back += 1
    return -back


@part
def steps_of(frame, at, stride, end, label, out):
    """Length, size, length, size of the next two steps of a contour that crosses line `at` at `end`."""
    seen = 0
    for which in range(2):
        length = 0
        size = 0
        while seen < STEP_LINES:
            here = at + seen * stride
            seen += 1
            if frame[here + end - 1] == label and frame[here + end] != label:
                length += 1
                continue
            moved = run_end(frame, here, label, FAR)
            if moved == end:
                length += 1
                continue
            size = min(max(moved - end, -3), 3)
            end = moved
            break
        out[2 * which] = length
        out[2 * which + 1] = size + 3
        if which == 0 and size == 0:
            out[2] = 0
            out[3] = 3
            return


@part
def trace(frame, inside, heading, label, outside, stride, out):
    """Follow the contour of `label`, kept on the left hand; returns how many (run, turn) pairs were written to `out`.

    Headings turn clockwise from towards smaller columns: 0 back along the line, 1 to earlier lines, 2, 3.
    """
    run = 1
    count = 0
    for _ in range(TRACED):
        if heading == 0:
            forward, right = -1, -stride
        elif heading == 1:
            forward, right = -stride, 1
        elif heading == 2:
            forward, right = 1, stride
        else:
            forward, right = stride, -1
        near = frame[inside + forward]
        far = frame[inside + forward + right]
        if near == outside or far == outside:
            break
        if near == label and far != label:
            run += 1
            inside += forward
            continue
        out[2 * count] = run
        run = 1
        if near != label:
            out[2 * count + 1] = 1
            heading = (heading + 3) & 3
        else:
            out[2 * count + 1] = 2
            heading = (heading + 1) & 3
            inside += forward + right
        count += 1
        if count == TURNS:
            return count
    out[2 * count] = run
    out[2 * count + 1] = 0
    return count + 1
