"""Edits of stream m: segments of contours that cost more bits than they are worth in pixels.

A class map's bits lie on its contours, most of them on jitter by one pixel. A proposal gives a run of dear pixels the
class that lies on their other side, in their own column of the scan; a set of them enters a map by the rule of
admission, with the coder's true incremental bits and the distortion measured through the renderer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lab.codecs.admission import Rule
from lab.codecs.base import Monitor
from lab.codecs.pixels import rounded
from lab.codecs.semantic import decode
from lab.codecs.semantic.content import Content, Maps
from lab.codecs.semantic.judge import Judge
from lab.entropy.mapwriter import Meter, encode

Edit = tuple[int, int, int, int]
# A pixel is worth proposing from so many bits on; a wrong one costs about ten.
_DEAR_BITS = (9.0, 6.0, 4.0)
_HORIZON = 1


def maps_of(labels: NDArray[np.uint8], monitor: Monitor) -> Maps:
    """Class maps with their bytes."""
    coded = encode(labels, monitor=monitor)
    return Maps(labels=labels, coded=coded.payload, sections=coded.sections)


def edited(content: Content, judge: Judge, monitor: Monitor) -> Content:
    """The content with those edits of its class maps that pay, and its maps coded again."""
    labels = content.maps.labels.copy()
    meter = Meter(labels, snapshots=len(labels))
    before = judge.validation(content)
    rule = judge.rule(before)
    kept: list[Edit] = []
    for index in range(len(labels)):
        found = _best(content, judge, rule, meter, index)
        kept += found
        monitor("contour edits", index + 1, len(labels))
    for at, row, column, label in kept:
        labels[at, row, column] = label
    if not kept:
        return content
    changed = replace(content, maps=maps_of(labels, monitor))
    return changed if judge.change(before, judge.validation(changed)) < 0.0 else content


def _best(content: Content, judge: Judge, rule: Rule, meter: Meter, index: int) -> list[Edit]:
    """The set of edits of one map that lowers the score most, or none."""
    n_pairs = content.n_pairs
    dear = meter.pixel_bits(index)
    base = _distortion(content, judge, index, content.maps.labels[index])
    best: tuple[float, list[Edit]] = (0.0, [])
    for threshold in _DEAR_BITS:
        edits = list(proposals(content.maps.labels[index], dear, threshold, index))
        if not edits:
            continue
        bits = meter.incremental_bits(edits, horizon=_HORIZON)
        plane = content.maps.labels[index].copy()
        for _, row, column, label in edits:
            plane[row, column] = label
        seg, pose = _distortion(content, judge, index, plane)
        delta = rule.delta(segnet=(seg - base[0]) / n_pairs, posenet=(pose - base[1]) / n_pairs, bits=bits)
        if delta < best[0]:
            best = delta, edits
    return best[1]


def _distortion(content: Content, judge: Judge, index: int, plane: NDArray[np.uint8]) -> tuple[float, float]:
    """(segnet, posenet) of one pair drawn from this map."""
    labels = content.maps.labels.copy()
    labels[index] = plane
    changed = replace(content, maps=replace(content.maps, labels=labels))
    (frames,) = decode.rendered(changed, np.array([index]))
    seg, pose = judge.of_seen(rounded(frames).float(), np.array([index]))
    return float(seg[0]), float(pose[0])


def proposals(plane: NDArray[np.uint8], bits: NDArray[np.float32], threshold: float, index: int) -> Iterator[Edit]:
    """Edits (map, row, column, label): every dear pixel takes the label of the vertical neighbour that differs."""
    above = np.vstack([plane[:1], plane[:-1]])
    below = np.vstack([plane[1:], plane[-1:]])
    for row, column in np.argwhere(bits >= threshold).tolist():
        own = plane[row, column]
        for other in (above[row, column], below[row, column]):
            if other != own:
                yield index, row, column, int(other)
                break
