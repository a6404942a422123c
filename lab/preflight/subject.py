"""What a preflight looks at: the recipe and contract of the run to come, and what is observed of machine and trial.

Observations are made once, when a check first asks for them; a failed observation fails every check that needs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab import codecs, experiment, packet, replay, runtime
from lab.contract import SHIPPED, Contract
from lab.errors import LabError
from lab.evaluator import networks
from lab.ledger import Ledger, Run
from lab.recipe import Recipe
from lab.video import frames

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from lab.bitstream import Bitstream
    from lab.preflight.machine import Machine

Value = TypeVar("Value")
TRIAL_PAIRS = 2
TRIAL_STEPS = 2


class Refused(LabError):
    """A check looked, and what it saw does not hold."""


def refuse(what: str, *, expected: str, found: object, fix: str = "") -> Refused:
    """The refusal of one check."""
    return Refused(what, expected=expected, found=str(found)[:200], fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Two pairs coded twice, packed, checked and inflated inside walls, as the real run will be."""

    contract: Contract
    stream: Bitstream
    again: Bitstream
    decoded: NDArray[np.uint8]
    packet: Path
    inflated: bytes
    inflate_s: float


@dataclass(kw_only=True)
class Subject:
    """A run to come. `root` is the checkout; observations are kept under their names and may be set beforehand."""

    recipe: Recipe
    contract: Contract
    ledgers: Path
    cache: Path
    work: Path
    root: Path
    axis: str = "cpu"
    kept: dict[str, Any] = field(default_factory=dict)

    def observe(self, name: str, make: Callable[[], Value]) -> Value:
        """An observation, made at most once; its failure is kept as well and raised again."""
        if name not in self.kept:
            try:
                self.kept[name] = make()
            except Exception as error:  # raised again to every check that asks
                self.kept[name] = error
        value = self.kept[name]
        if isinstance(value, Exception):
            raise value
        return value  # type: ignore[no-any-return]

    @property
    def ledger(self) -> Ledger:
        """The ledger that the run will enter."""
        return Ledger(self.ledgers)

    @property
    def machine(self) -> Machine:
        """The machine as it is now."""
        from lab.preflight import machine

        return self.observe("machine", lambda: machine.observe(self))

    @property
    def video(self) -> frames.VideoInfo:
        """What the source file holds, counted by decoding it."""
        return self.observe("video", lambda: frames.probe(self.contract.source_path))

    @property
    def pairs(self) -> NDArray[np.uint8]:
        """The first pairs of the source, uint8 (N, 2, H, W, 3)."""
        import numpy as np

        def read() -> NDArray[np.uint8]:
            found = frames.read_pairs(self.contract.source_path, n_pairs=TRIAL_PAIRS, size=self.contract.frame_size)
            return np.stack(list(found))

        return self.observe("pairs", read)

    @property
    def networks(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Both frozen networks, SegNet first."""
        return self.observe("networks", lambda: networks.load(self.contract))

    @property
    def runs(self) -> list[Run]:
        """Every record of the contract."""
        return self.observe("runs", lambda: self.ledger.runs(self.contract))

    @property
    def tree(self) -> runtime.Runtime:
        """The decoder that would be shipped."""
        return self.observe("tree", lambda: runtime.of_family(self.recipe.family))

    @property
    def trial(self) -> Trial:
        """The run to come, on two pairs and with next to no training."""
        return self.observe("trial", self._trial)

    def _trial(self) -> Trial:
        import numpy as np

        codec = codecs.get(self.recipe.family)
        small = replace(self.contract, n_pairs=TRIAL_PAIRS)
        asked = trial_recipe(self.recipe)
        place = Path(tempfile.mkdtemp(prefix="preflight-", dir=self.work))
        self.kept["trial folder"] = place
        streams = []
        for attempt in ("first", "second"):
            bench = experiment.Bench(
                ledgers=self.ledgers, cache=self.cache, work=place / attempt / "work", root=self.root
            )
            (place / attempt / "work").mkdir(parents=True)
            source = bench.source(small, place / attempt / "work")
            streams.append(codec.encode(source, asked, lambda *_: None))
        tree = runtime.of_closure(asked.family, codec.runtime_files(), codec.spec.requirements)
        built = packet.build(place / "packet", streams[0].payload, tree, title="a trial on two pairs")
        inflation = replay.inflate(
            built,
            place / "replay",
            raw_bytes=small.raw_bytes,
            hidden=(self.contract.root, SHIPPED, self.ledgers, self.cache),
            time_limit_s=self.contract.time_limit_s,
        )
        return Trial(
            contract=small,
            stream=streams[0],
            again=streams[1],
            decoded=np.stack(list(codec.decode(streams[0].payload))),
            packet=built,
            inflated=inflation.raw.read_bytes(),
            inflate_s=inflation.elapsed_s,
        )


def trial_recipe(asked: Recipe) -> Recipe:
    """The same recipe with every number of training steps cut to next to nothing."""

    def cut(table: dict[str, Any]) -> dict[str, Any]:
        return {
            name: min(value, TRIAL_STEPS) if name in ("steps", "epochs") and isinstance(value, int) else value
            for name, value in table.items()
        }

    return replace(asked, params=cut(asked.params), stages=tuple(map(cut, asked.stages)))
