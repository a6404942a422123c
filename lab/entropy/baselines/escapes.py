"""The adaptive range coder of the qzs3 lineage: nine neighbours, a cascade of escapes.

Maps are stored transposed. A pixel is told by "is it the label above, the one on the left, the one of the last map",
each label asked for once, and then by one symbol of what is left; all four have counts of their own for every one of
6^9 contexts. Counts start at 1 against 4, grow by 20 and are halved before they leave 16 bits. The header has 20 bytes:
magic, three sizes, the length of the stream.

Notes:
    The published stream of the contest's 600 maps has 159,011 bytes. Its coder is a 32-bit one of Witten, Neal and
    Cleary; here the same probabilities go through this package's range coder, which differs by a byte or two.
"""

# Kernels carry no annotations: numba infers their types, and accepts no typing constructs inside.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from lab.entropy.jit import kernel
from lab.entropy.rangecoder import CODE, LIMIT, POS, RANGE, decode_span, encode_span, ended, finish, reader, writer
from lab.errors import BitstreamError, Truncated, UnknownSyntax

MAGIC = b"QMA9"
CLASSES = 5
_CONTEXTS = (CLASSES + 1) ** 9
_MOST_PIXELS = 1 << 28


def encode(labels: NDArray[np.uint8]) -> bytes:
    """The payload of maps, uint8 (T, H, W) of labels 0 to 4."""
    if labels.dtype != np.uint8 or labels.ndim != 3 or not labels.size or labels.max() >= CLASSES:
        raise ValueError("maps are uint8 (T, H, W), not empty, of labels 0 to 4")
    scan = np.ascontiguousarray(labels.transpose(0, 2, 1))
    coder, buffer = writer(), np.empty(labels.size // 2 + 1024, np.uint8)
    _code(False, scan, coder, buffer, *_counts())
    stream = finish(coder, buffer)
    return struct.pack("<4s4I", MAGIC, *labels.shape, len(stream)) + stream


def decode(payload: bytes) -> NDArray[np.uint8]:
    """The maps of a payload.

    Raises:
        BitstreamError: not such a payload, or cut short.
    """
    if len(payload) < 20 or payload[:4] != MAGIC:
        raise UnknownSyntax("nine neighbours", expected="a header that starts with QMA9")
    maps, height, width, length = struct.unpack("<4I", payload[4:20])
    if not 0 < maps * height * width <= _MOST_PIXELS or length != len(payload) - 20:
        raise UnknownSyntax("nine neighbours, sizes", found=f"{maps} x {height} x {width}, {length} bytes")
    stream = np.frombuffer(payload, np.uint8, offset=20).copy()
    scan, coder = np.empty((maps, width, height), np.uint8), reader(stream)
    _code(True, scan, coder, stream, *_counts())
    if coder[POS] > coder[LIMIT]:
        raise Truncated("nine neighbours", expected="more labels", found="the end of the stream")
    if not ended(coder):
        raise BitstreamError("nine neighbours", expected="the end of the stream", found="bytes left over")
    return np.ascontiguousarray(scan.transpose(0, 2, 1))


def _counts() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    questions = np.empty((_CONTEXTS, 6), np.uint16)
    questions[:, 0::2], questions[:, 1::2] = 1, 4
    return questions, np.ones((_CONTEXTS, CLASSES), np.uint16)


def ideal_bits(labels: NDArray[np.uint8]) -> float:
    """Information of maps under this model."""
    scan = np.ascontiguousarray(labels.transpose(0, 2, 1))
    coder = writer()
    _code(False, scan, coder, np.empty(0, np.uint8), *_counts())
    return 8.0 * float(coder[POS]) + 48 - math.log2(float(coder[RANGE]))


@kernel
def _code(decoding, scan, coder, buffer, questions, symbols):
    maps, lines, columns = scan.shape
    asked = np.empty(3, np.int64)
    for index in range(maps):
        for line in range(lines):
            for column in range(columns):
                left = np.int64(scan[index, line, column - 1]) if column > 0 else 5
                left2 = np.int64(scan[index, line, column - 2]) if column > 1 else 5
                up = np.int64(scan[index, line - 1, column]) if line > 0 else 5
                up2 = np.int64(scan[index, line - 2, column]) if line > 1 else 5
                before = np.int64(scan[index, line - 1, column - 1]) if line > 0 and column > 0 else 5
                after = np.int64(scan[index, line - 1, column + 1]) if line > 0 and column < columns - 1 else 5
                last = np.int64(scan[index - 1, line, column]) if index > 0 else 5
                right = np.int64(scan[index - 1, line, column + 1]) if index > 0 and column < columns - 1 else 5
                below = np.int64(scan[index - 1, line + 1, column]) if index > 0 and line < lines - 1 else 5
                at = ((((last * 6 + left) * 6 + up) * 6 + before) * 6 + after) * 6 + right
                at = ((at * 6 + below) * 6 + up2) * 6 + left2
                truth = np.int64(0) if decoding else np.int64(scan[index, line, column])
                asked[0], asked[1], asked[2] = up, left, last
                label = np.int64(-1)
                for k in range(3):
                    guess = asked[k]
                    if guess == 5 or (k > 0 and guess == asked[0]) or (k > 1 and guess == asked[1]):
                        continue
                    no, yes = np.int64(questions[at, 2 * k]), np.int64(questions[at, 2 * k + 1])
                    bound = coder[RANGE] // (no + yes) * no
                    hit = coder[CODE] >= bound if decoding else truth == guess
                    start = bound if hit else np.int64(0)
                    span = coder[RANGE] - bound if hit else bound
                    if decoding:
                        decode_span(coder, buffer, start, span)
                    else:
                        encode_span(coder, buffer, start, span)
                    if no + yes + 20 > 65535:
                        questions[at, 2 * k], questions[at, 2 * k + 1] = max(no // 2, 1), max(yes // 2, 1)
                    questions[at, 2 * k + (1 if hit else 0)] += 20
                    if hit:
                        label = guess
                        break
                if label < 0:
                    label = _code_rest(decoding, truth, coder, buffer, symbols, at, asked)
                    if decoding and coder[POS] > coder[LIMIT]:
                        return
                scan[index, line, column] = label


@kernel
def _code_rest(decoding, truth, coder, buffer, symbols, at, asked):
    """One symbol of those that were not asked for."""
    total, counted, last = np.int64(0), np.int64(0), np.int64(0)
    for other in range(5):
        counted += symbols[at, other]
        if other != asked[0] and other != asked[1] and other != asked[2]:
            total += symbols[at, other]
            last = other
    unit = coder[RANGE] // total
    start = np.int64(0)
    label = last
    for other in range(5):
        if other != asked[0] and other != asked[1] and other != asked[2]:
            width = unit * symbols[at, other]
            if other == last or (coder[CODE] < start + width if decoding else truth == other):
                label = np.int64(other)
                break
            start += width
    span = coder[RANGE] - start if label == last else unit * symbols[at, label]
    if decoding:
        decode_span(coder, buffer, start, span)
    else:
        encode_span(coder, buffer, start, span)
    if counted + 20 > 65535:
        for other in range(5):
            symbols[at, other] = max(symbols[at, other] // 2, 1)
    symbols[at, label] += 20
    return label
