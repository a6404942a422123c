"""The class-map model: online logistic mixing over the contours of label maps, one kernel for both directions.

A map is scanned line by line. The label of a pixel is told by yes-or-no questions, "is it the label on the left, the
one above, the one of the last map, ...", and each answer is predicted by

* 24 contexts, hashed into slots that hold an adaptive probability and a short history of answers: neighbours in this
  map and the two before, where the run of the left label ends in nearby lines, how long the steps of the contour are,
  the contour traced backwards, how long the pixel has kept its label, how surprising the neighbourhood was;
* 116 raw neighbours, each saying whether it has the label in question;
* three sets of mixing weights, selected by run ends, by the contour's last steps and by place, mixed once more, and two
  adaptive maps from the mixed probability to the observed one.

A pixel whose neighbourhood is flat is asked "the same again?" by a model of its own, six contexts and one set of
weights. Everything is integer arithmetic; nothing here depends on the clip, and all sizes follow from the shape.

References:
    M. Mahoney, the paq8 and lpaq context-mixing coders (mixing, histories, adaptive probability maps).
    H. Freeman, "On the encoding of arbitrary geometric configurations", 1961 (chain codes of contours).
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.entropy.contours import fold
from lab.entropy.jit import apart, kernel, part
from lab.entropy.logistic import ONE, rare_table, rate_table, squash_table, stretch_table
from lab.entropy.mapcontexts import CLOSEST, CONTEXTS, MARGIN, RAW, candidates, contexts, neighbours
from lab.entropy.mixing import adapted, dot, history_chances, history_table, refined, refining_maps, train
from lab.entropy.rangecoder import LIMIT, POS, RANGE, code_bit

INPUTS = 168  # two per context, one constant, the raw neighbours, and padding to a round number
STAGES = 6  # question 1, 2, later; the same after a surprise in a flat place
SETS = 3
FLAT_INPUTS = 6
CODED, EXHAUSTED = 0, 1
SOON, LATE = np.int64(255), np.int64(1023)  # answers after which a probability adapts no more slowly
FRESH = ONE >> 1 << 10 << 32  # a slot that was never used: even odds, count 0, empty history


class Model(NamedTuple):
    """All state of one coder; `Model.new` makes it, `code_map` moves it on by one map."""

    shape: NDArray[np.int64]  # classes, lines, columns, stride, table bits, maps coded, columns of cells
    frames: NDArray[np.uint8]  # (3, area): this map and the two before, with margins of the outside label
    surprise: NDArray[np.uint8]  # (2, area): how surprising each pixel of this map and the last was, 0 to 3
    age: NDArray[np.uint8]  # (area,): for how many maps the pixel has kept its label
    former: NDArray[np.uint8]  # (area,): the label before that
    slots: NDArray[np.uint64]  # (contexts, 2^bits): probability 22 | count 10 | history 16 | check 16
    histories: NDArray[np.uint32]  # (contexts, histories): adaptive probability of each history
    weights: NDArray[np.int32]
    final: NDArray[np.int32]
    maps: NDArray[np.uint32]
    flat: NDArray[np.uint32]
    flat_weights: NDArray[np.int64]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    rare: NDArray[np.int16]
    rates: NDArray[np.int32]
    following: NDArray[np.uint16]
    level: NDArray[np.int64]


@part
def _ask(decoding, bit, coder, buffer, model, hashes, inputs, sets, stage, places, where, mixed, cells):
    """Predict, code and learn one answer; returns it and the 16-bit probability that it had."""
    slots, histories, weights, final, maps = model.slots, model.histories, model.weights, model.final, model.maps
    squash, stretch, rates, following = model.squash, model.stretch, model.rates, model.following
    shift = np.uint64(64 - model.shape[4])
    for k in range(CONTEXTS):
        at = np.int64(hashes[k] >> shift)
        where[k] = at
        check = (hashes[k] & np.uint64(0xFFFF)) | np.uint64(1)
        slot = slots[k, at]
        if slot & np.uint64(0xFFFF) != check:
            slot = np.uint64(FRESH) | check
            slots[k, at] = slot
        chance = np.int64(slot >> np.uint64(32))
        inputs[2 * k] = stretch[chance >> 16] if chance & 1023 else 0
        inputs[2 * k + 1] = stretch[histories[k, np.int64(slot >> np.uint64(16)) & 4095] >> 16]
    for k in range(SETS):
        mixed[k] = dot(weights, sets[k], inputs, INPUTS)
    total = np.int64(0)
    for k in range(SETS):
        total += np.int64(final[stage * SETS + k]) * mixed[k]
    stretched = min(max(total >> 16, -2815), 2815)
    chance = np.int64(squash[stretched + 4095] >> 6)
    yes = 2 * chance + 2
    for k in range(2):
        yes += refined(maps, places[k], stretched, cells, k)
    yes = min(max(yes >> 2, 1), 65535)
    bit = code_bit(decoding, coder, buffer, bit, (65536 - yes) << 6)
    target = 65535 if bit else 0
    for k in range(SETS):
        final[stage * SETS + k] += (mixed[k] * (target - chance) + 262144) >> 19
        error = 2 * (target - np.int64(squash[mixed[k] + 4095] >> 6))
        if error >= 93 or error <= -93:  # below that every step rounds to nothing
            train(weights, sets[k], inputs, INPUTS, error)
    for k in range(2):
        maps[cells[k]] = adapted(np.int64(maps[cells[k]]), bit, SOON, rates)
    for k in range(CONTEXTS):
        slot = slots[k, where[k]]
        history = np.int64(slot >> np.uint64(16)) & 4095
        histories[k, history] = adapted(np.int64(histories[k, history]), bit, LATE, rates)
        chance = adapted(np.int64(slot >> np.uint64(32)), bit, SOON, rates)
        slots[k, where[k]] = (
            np.uint64(chance) << np.uint64(32)
            | np.uint64(following[history, bit]) << np.uint64(16)
            | slot & np.uint64(0xFFFF)
        )
    return bit, yes if bit else 65536 - yes


@part
def _is_flat(frame, last, at, stride, label, first):
    """Whether everything near has the label on the left."""
    up = at - stride
    if frame[up] != label or frame[up - 1] != label or frame[up + 1] != label or frame[up + 2] != label:
        return False
    if frame[up - 2] != label or frame[up + 3] != label or frame[at - 2] != label:
        return False
    up -= stride
    if frame[up] != label or frame[up - 1] != label or frame[up + 1] != label:
        return False
    if first:
        return True
    for line in range(at - stride, at + 2 * stride, stride):
        for near in range(line - 2, line + 3):
            if last[near] != label:
                return False
    return last[at + 3] == label and last[at - 2 * stride] == label and last[at + 2 * stride] == label


@part
def _ask_flat(
    decoding,
    bit,
    coder,
    buffer,
    shape,
    frame,
    last,
    before,
    missed,
    age,
    level,
    chances,
    weights,
    squash,
    rare,
    rates,
    at,
    line,
    column,
    label,
    places,
    inputs,
):
    """The question of a flat place, "the same again?"; returns the answer."""
    classes, columns, stride = shape[0], shape[2], shape[3]
    near = np.int64(last[at + 5] == label) << 6 | np.int64(last[at + 5 * stride] == label) << 5
    near |= np.int64(before[at] == label) << 4 | np.int64(frame[at - 3 * stride] == label) << 3
    near |= np.int64(frame[at - 2 * stride + 4] == label) << 2 | np.int64(last[at + 3 * stride + 2] == label) << 1
    near |= np.int64(last[at - 3 * stride - 2] == label)
    here, right, below = level[age[at]], level[age[at + 1]], level[age[at + stride]]
    youngest = max(max(here, right, below), level[age[at + 2]], level[age[at - stride]], level[age[at + 2 * stride]])
    pattern = missed[at] | missed[at + 1] << 2 | missed[at + stride] << 4 | missed[at - stride] << 6
    places[0] = label * 128 + near
    places[1] = 2048 + label * 512 + here * 64 + right * 8 + below
    places[2] = 10240 + (label * 128 + near) * 8 + youngest
    places[3] = 26624 + label * 256 + pattern
    places[4] = 30720 + label * columns + column
    places[5] = 30720 + classes * columns + (line >> 3) * shape[6] + (column >> 3)
    row = (label * 8 + youngest) * FLAT_INPUTS
    total = np.int64(0)
    for k in range(FLAT_INPUTS):
        inputs[k] = -np.int64(rare[min(max(ONE - np.int64(chances[places[k]] >> 10), 1), 65535)])
        total += weights[row + k] * inputs[k]
    yes = min(np.int64(squash[min(max(total >> 20, -4095), 4095) + 4095]), ONE - 4)
    bit = code_bit(decoding, coder, buffer, bit, ONE - yes)
    error = (ONE if bit else 0) - yes
    for k in range(FLAT_INPUTS):
        weights[row + k] += (error * inputs[k]) >> 17
        chances[places[k]] = adapted(np.int64(chances[places[k]]), bit, LATE, rates)
    return bit


@apart
def _code_pixel(decoding, truth, coder, buffer, model, views, at, line, column, work, refused):
    """Code one pixel by questions; returns its label."""
    base, hashes, inputs, around, sets, rows, order, places, where, mixed, cells, features = work
    stride = model.shape[3]
    frame, last = views[0], views[1]
    refined = contexts(model, views, at, line, column, base, sets, features)
    neighbours(model, views, at, around)
    count = candidates(model, views, at, refused, order)
    left, above, right, same = frame[at - 1], frame[at - stride], frame[at - stride + 1], last[at]
    pattern = (1 if left == above else 0) | (2 if left == same else 0) | (4 if above == same else 0)
    pattern |= (
        (8 if left == right else 0) | (16 if same == last[at + 1] else 0) | (32 if same == last[at + stride] else 0)
    )
    places[1] = 6144 + refined
    for k in range(count - 1):
        label = order[k]
        stage = min(k, 2) + (3 if refused >= 0 else 0)
        relative = np.int64(0)
        for n in range(RAW):
            match = around[n] == label
            inputs[2 * CONTEXTS + 1 + n] = 512 if match else -512
        for n in range(CLOSEST.size):
            relative = relative << 1 | np.int64(around[CLOSEST[n]] == label)
        base[22] = fold(np.uint64(0), relative)
        for n in range(CONTEXTS):
            hashes[n] = fold(base[n] + np.uint64(n + 1), (k + (16 if refused >= 0 else 0)) << 5 | label)
        rows[0] = (stage * 289 + sets[0]) * INPUTS
        rows[1] = (STAGES * 289 + stage * 340 + sets[1]) * INPUTS
        rows[2] = (STAGES * (289 + 340) + stage * 256 + sets[2]) * INPUTS
        places[0] = (stage * 16 + label) * 64 + pattern
        yes, chance = _ask(
            decoding,
            1 if truth == label else 0,
            coder,
            buffer,
            model,
            hashes,
            inputs,
            rows,
            stage,
            places,
            where,
            mixed,
            cells,
        )
        if k == 0 and refused < 0:
            cost = 0 if chance > 60000 else 1 if chance > 45000 else 2 if chance > 32768 else 3
            views[3][at] = cost
        if yes:
            return label
    return order[count - 1]


@kernel
def code_map(decoding, labels, coder, buffer, model, trace):
    """Code one map and move the model on by it; returns CODED, or EXHAUSTED when the payload ends early.

    Args:
        labels: uint8 (lines, columns); read when encoding, filled when decoding.
        coder, buffer: a state of the range coder and its bytes.
        model: changed in place.
        trace: int64 (lines * columns,) to receive `POS << 48 | RANGE` after each pixel, or of length 0.
    """
    outside, lines, columns, stride = model.shape[0], model.shape[1], model.shape[2], model.shape[3]
    now = model.shape[5]
    frame, last = model.frames[now % 3], model.frames[(now + 2) % 3]
    surprise = model.surprise[now & 1]
    views = (frame, last, model.frames[(now + 1) % 3], surprise, model.surprise[(now + 1) & 1])
    frame[:] = outside
    surprise[:] = 0
    inputs = np.zeros(INPUTS, np.int32)
    inputs[2 * CONTEXTS] = 256
    features = (
        np.empty(7, np.int64),
        np.empty(4, np.int64),
        np.empty(4, np.int64),
        np.empty(20, np.int64),
        np.empty(20, np.int64),
    )
    work = (
        np.zeros(CONTEXTS, np.uint64),
        np.zeros(CONTEXTS, np.uint64),
        inputs,
        np.zeros(RAW, np.int32),
        np.zeros(SETS, np.int64),
        np.zeros(SETS, np.int64),
        np.zeros(32, np.int64),
        np.zeros(2, np.int64),
        np.zeros(CONTEXTS, np.int64),
        np.zeros(SETS, np.int64),
        np.zeros(2, np.int64),
        features,
    )
    shape, age, level, chances, flat_weights = model.shape, model.age, model.level, model.flat, model.flat_weights
    squash, rare, rates, before, missed = model.squash, model.rare, model.rates, views[2], views[4]
    six, flat = np.empty(FLAT_INPUTS, np.int64), np.empty(FLAT_INPUTS, np.int64)
    for line in range(lines):
        for column in range(columns):
            at = (line + MARGIN) * stride + MARGIN + column
            truth = -1 if decoding else np.int64(labels[line, column])
            label = np.int64(frame[at - 1])
            refused = -1
            if label != outside and _is_flat(frame, last, at, stride, label, now == 0):
                hit = _ask_flat(
                    decoding,
                    1 if truth == label else 0,
                    coder,
                    buffer,
                    shape,
                    frame,
                    last,
                    before,
                    missed,
                    age,
                    level,
                    chances,
                    flat_weights,
                    squash,
                    rare,
                    rates,
                    at,
                    line,
                    column,
                    label,
                    six,
                    flat,
                )
                refused = -1 if hit else label
                surprise[at] = 0 if hit else 3
            else:
                hit = 0
            if not hit:
                label = _code_pixel(decoding, truth, coder, buffer, model, views, at, line, column, work, refused)
                if decoding and coder[POS] > coder[LIMIT]:
                    return EXHAUSTED
            frame[at] = label
            if decoding:
                labels[line, column] = label
            if trace.size:
                trace[line * columns + column] = coder[POS] << 48 | coder[RANGE]
    for at in range(frame.size):
        if frame[at] != last[at]:
            model.age[at] = 0
            model.former[at] = last[at]
        elif model.age[at] < 254:
            model.age[at] += 1
    model.shape[5] = now + 1
    return CODED


def new_model(classes: int, maps: int, lines: int, columns: int) -> Model:
    """A model that has seen nothing, for `maps` maps of this size; memory follows from the shape alone."""
    stride = columns + 2 * MARGIN
    area = (lines + 2 * MARGIN) * stride
    bits = min(max((maps * lines * columns).bit_length() - 6, 10), 19)
    cell_columns = (columns + 7) // 8
    cells = ((lines + 7) // 8) * cell_columns
    weights = np.zeros((STAGES * (289 + 340 + 256), INPUTS), np.int32)
    weights[:, : 2 * CONTEXTS] = 65536 // CONTEXTS
    level = np.array([7, 6] + [5] * 2 + [4] * 4 + [3] * 8 + [2] * 16 + [1] * 32 + [0] * 192, np.int64)
    return Model(
        shape=np.array([classes, lines, columns, stride, bits, 0, cell_columns], np.int64),
        frames=np.full((3, area), classes, np.uint8),
        surprise=np.zeros((2, area), np.uint8),
        age=np.zeros(area, np.uint8),
        former=np.full(area, classes, np.uint8),
        slots=np.zeros((CONTEXTS, 1 << bits), np.uint64),
        histories=history_chances(CONTEXTS),
        weights=weights.reshape(-1),
        final=np.full(STAGES * SETS, 65536 // SETS, np.int32),
        maps=refining_maps(6144 + 65536),
        flat=np.full(30720 + classes * columns + cells, (ONE - 41) << 10 | 30, np.uint32),
        flat_weights=np.full(16 * 8 * FLAT_INPUTS, 1 << 18, np.int64),
        squash=squash_table(),
        stretch=stretch_table(),
        rare=rare_table(),
        rates=rate_table(),
        following=history_table(),
        level=level,
    )
