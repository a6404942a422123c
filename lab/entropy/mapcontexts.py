"""What the class-map model looks at: hashed contexts, raw neighbours, and the order in which labels are asked for."""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import numpy as np

from lab.entropy.contours import NEAR, fold, pack, run_end, steps_of, trace
from lab.entropy.jit import apart, part

BACK, UP = np.int64(0), np.int64(1)  # headings of a contour
MARGIN = 12  # lines and columns of the outside label around a map: no context looks further
CONTEXTS = 24
RAW = 116
# raw neighbours nearest to the pixel: six of this map, thirteen of the last one
CLOSEST = np.array([0, 1, 7, 8, 9, 10, 68, 74, 75, 76, 80, 81, 82, 83, 84, 88, 89, 90, 96])


@apart
def _contours(model, views, at, ends, steps, ahead, chain, back):
    """Where runs of the left label end, how contours step, and the contour traced; returns the traced pairs of both."""
    stride, outside = model.shape[3], model.shape[0]
    frame, last = views[0], views[1]
    label = frame[at - 1]
    for k in range(5):
        ends[k] = run_end(frame, at - (k + 1) * stride, label, NEAR)
    ends[5] = run_end(last, at, label, NEAR)
    ends[6] = run_end(last, at - stride, label, NEAR)
    up = at - stride
    steps[0], steps[1], steps[2], steps[3] = 0, 3, 0, 3
    if -8 < ends[0] < 8:
        steps_of(frame, up - stride, -stride, ends[0], label, steps)
    steps_of(last, at, stride, ends[6], label, ahead)
    traced = 0
    if frame[up] != label:
        traced = trace(frame, at - 1, BACK, label, outside, stride, chain)
    elif ends[0] < 8:
        traced = trace(frame, up + ends[0] - 1, UP, label, outside, stride, chain)
    behind = 0
    if -8 < ends[6] < 8 and last[up + ends[6] - 1] == label:
        behind = trace(last, up + ends[6] - 1, UP, label, outside, stride, back)
    return traced, behind


@apart
def contexts(model, views, at, line, column, base, sets, features):
    """Hashes of the contexts that do not depend on the label in question, and the selectors of weights.

    Returns the place of the second adaptive map.
    """
    stride = model.shape[3]
    frame, last, before, now_missed, missed = views
    ends, steps, ahead, chain, back = features
    chain[:] = 0
    back[:] = 0
    traced, behind = _contours(model, views, at, ends, steps, ahead, chain, back)
    up = at - stride
    left, above, same = np.int64(frame[at - 1]), np.int64(frame[up]), np.int64(last[at])
    e1, e2, l0, l1 = ends[0] + 8, ends[1] + 8, ends[5] + 8, ends[6] + 8
    beyond = left if ends[0] == 8 else np.int64(frame[up + ends[0]])
    pair = left << 5 | beyond
    run4, above6, top5 = pack(frame, at - 4, 4), pack(frame, up - 2, 6), pack(frame, up - stride - 2, 5)
    near4 = pack(frame, up - 1, 3) << 5 | left
    near3 = (left << 5 | above) << 5 | same
    last9 = (pack(last, up - 1, 3) << 15 | pack(last, at - 1, 3)) << 15 | pack(last, at + stride - 1, 3)
    lines = fold(fold(np.uint64(1), pack(last, at - 2, 6)), pack(last, up - 2, 6))
    cross = ((np.int64(before[up]) << 5 | np.int64(before[at + stride])) << 15) | pack(before, at - 1, 3)
    far = (pack(frame, up - 2 * stride - 1, 3) << 5 | np.int64(frame[up + 4])) << 5 | np.int64(frame[up - 3])
    local = np.int64(now_missed[at - 1]) | now_missed[up] << 2 | now_missed[up + 1] << 4 | now_missed[up - 1] << 6
    was = np.int64(missed[at + 1]) | missed[at + stride] << 2 | missed[at - 1] << 4 | missed[up] << 6
    first = steps[0] << 8 | steps[1] << 4
    slopes = (((e1 << 5 | e2) << 5 | (ends[2] + 8)) << 5 | (ends[3] + 8)) << 5 | (ends[4] + 8)
    shift = (ends[0] - ends[6] + 16) << 5
    seed = np.uint64(0)
    above_run = fold(fold(seed, run4), above6)
    above_all = fold(above_run, top5)
    base[0] = fold(seed, near4 << 5 | same)
    base[1] = above_run
    base[2] = above_all
    base[3] = fold(above_run, last9)
    base[4] = fold(fold(seed, last9), cross << 5 | left)
    base[5] = fold(lines, pack(last, at + stride - 2, 6) << 5 | left)
    base[6] = fold(seed, ((ends[5] + ends[0] - ends[6] + 24) << 5 | (ends[0] - ends[1] + 16)) << 10 | pair)
    base[7] = fold(seed, at)
    base[8] = fold(seed, column << 15 | near3)
    base[9] = fold(seed, (local << 2 | missed[at]) << 15 | near3)
    base[10] = fold(seed, (was << 2 | missed[at]) << 15 | near3)
    base[11] = fold(seed, (first << 5 | e1) << 10 | pair)
    base[12] = fold(seed, (((first << 8 | steps[2]) << 4 | steps[3]) << 5 | e1) << 10 | pair)
    base[13] = fold(seed, slopes << 5 | left)
    base[14] = fold(above_all, far)
    trail = fold(seed, ends[0] if above == left else 0)
    for k in range(8):
        trail = fold(trail, chain[2 * k] << 2 | chain[2 * k + 1]) if k < traced else fold(trail, 777)
        if k == 0:
            base[15] = fold(trail, pair)
        elif 3 <= k <= 5:
            base[13 + k] = fold(trail, pair)
            if k == 4:
                base[20] = fold(trail, (l0 << 5 | l1) << 5 | left)
    base[19] = fold(trail, pair)
    coming = fold(fold(seed, ahead[0] << 12 | ahead[1] << 8 | ahead[2] << 4 | ahead[3]), back[0] << 2 | back[1])
    base[21] = fold(fold(coming, back[2] << 2 | back[3] if behind > 1 else 0), (shift << 5 | e1) << 5 | left)
    age, former = model.level[model.age[at]], np.int64(model.former[at])
    kept = (age << 5 | former) << 5 | np.int64(model.former[at + 1])
    base[23] = fold(seed, ((kept << 15 | near3) << 5 | np.int64(last[at + 1])) << 5 | np.int64(last[at + stride]))
    sets[0] = e1 * 17 + l0
    sets[1] = (min(chain[0], 20) * 4 + chain[1]) * 4 + (chain[3] if traced > 1 else 3) if traced else 3
    sets[2] = (line * 16 // model.shape[1]) * 16 + column * 16 // model.shape[2]
    return np.int64(fold(above_run, same) & np.uint64(0xFFFF))


@part
def neighbours(model, views, at, around):
    """The labels of the raw inputs."""
    stride = model.shape[3]
    frame, last, before = views[0], views[1], views[2]
    count = 0
    for back in range(1, 5):
        around[count] = frame[at - back]
        count += 1
    for up in range(1, 7):
        for near in range(at - up * stride - 4, at - up * stride + 5):
            around[count] = frame[near]
            count += 1
    for line in range(-3, 4):
        for near in range(at + line * stride - 3, at + line * stride + 4):
            around[count] = last[near]
            count += 1
    for line in range(-1, 2):
        for near in range(at + line * stride - 1, at + line * stride + 2):
            around[count] = before[near]
            count += 1


@part
def candidates(model, views, at, refused, order):
    """Labels in the order they are asked for; returns how many. `refused` is a label known to be wrong, or -1."""
    stride, classes = model.shape[3], model.shape[0]
    frame, last, before = views[0], views[1], views[2]
    asked = np.int64(0) if refused < 0 else np.int64(1) << refused
    up = at - stride
    count = 0
    for k in range(7 + classes):
        if k == 0:
            label = np.int64(frame[at - 1])
        elif k == 1:
            label = np.int64(frame[up])
        elif k == 2:
            label = np.int64(last[at])
        elif k == 3:
            label = np.int64(last[at + 1])
        elif k == 4:
            label = np.int64(frame[up + 1])
        elif k == 5:
            label = np.int64(last[at + stride])
        elif k == 6:
            label = np.int64(before[at])
        else:
            label = np.int64(k - 7)
        if label < classes and not asked >> label & 1:
            asked |= np.int64(1) << label
            order[count] = label
            count += 1
    return count
