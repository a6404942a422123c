"""Runs that come from another process are the ones that were read there."""

from __future__ import annotations

import pickle

import shelf
from conftest import SOURCE

from lab.site import intake, kept
from lab.site.parcel import Parcel


def test_a_parcel_holds_the_runs_that_were_packed(small: shelf.Made) -> None:
    memory = kept.Kept()
    book = intake.load(SOURCE, small.ledgers, None, memory)
    runs = list(memory[shelf.NAME].known.values())
    packed = pickle.loads(pickle.dumps(Parcel(runs), protocol=pickle.HIGHEST_PROTOCOL))
    assert packed.runs == runs
    assert [repr(known.entry) for known in packed.runs] == [repr(entry) for entry in book.main.entries]
    assert pickle.loads(pickle.dumps(Parcel([]))).runs == []
