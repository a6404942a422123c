"""A small site, built from a made-up ledger and served as a host without range requests would.

`make test-browser` installs what these tests need and says so through LAB_BROWSER=required: then what is absent is a
failure. Otherwise they skip, naming what is absent.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "site"))
import shelf  # noqa: E402  it lies in the folder that was just added

from lab.site import check, clips, data, host, intake, interactive, leaks, plan, publish, render, search  # noqa: E402  likewise

TOOLS = Path(os.environ.get("LAB_BROWSER_TOOLS", ROOT / ".venv" / "browser")) / "node_modules"
RATES = ("20", "30000/1001")
N_FRAMES = 100
CLIPS = 6  # the atlas takes five, so that one is left to be decoded in lockstep


def needs(what: str, found: object) -> None:
    """Skip where something is absent, fail where it was promised."""
    if not found:
        if os.environ.get("LAB_BROWSER") == "required":
            pytest.fail(f"{what} is not there; `make test-browser` should have installed it")
        pytest.skip(f"{what} is not installed; `make test-browser` installs it")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A built site and where it is served."""

    address: str
    folder: Path
    plan: plan.Plan
    made: shelf.Made | None

    @property
    def run(self) -> str:
        """Address of a run's page with a clip; empty where no run has one."""
        pages = (page for page in self.plan.pages if page.template == "run.html")
        return next((page.url for page in pages if "clip" in page.modules), "")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a folder that is served."""
    server = host.server(folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def served(
    planned: plan.Plan, root: Path, made: shelf.Made | None = None, gate: leaks.Gate | None = None
) -> Iterator[Served]:
    """A planned site, rendered, checked, written and served."""
    shipped = {
        name: data.digest_of(found) for name, found in planned.files.items() if name.startswith("assets/plotly.")
    }
    tree = render.render(planned, ROOT / "templates")
    tree |= search.index(tree, root / "cache")
    with publish.draft(root / "public") as place:
        check.check(tree, gate or leaks.Gate(shipped=shipped), place)
    with running(root / "public") as address:
        yield Served(address=address, folder=root / "public", plan=planned, made=made)


@contextmanager
def serve_recorded(root: Path) -> Iterator[Served]:
    """The site of the ledger of this checkout, without clips and without packets, which take minutes."""
    book = intake.load(ROOT / "site_src", ROOT / "ledgers")
    makers, script = partial(render.figure_makers, ROOT / "templates"), interactive.script()
    with served(plan.make(book, {}, makers, script, pack=lambda *_: {}), root) as site:
        yield site


@contextmanager
def serve(root: Path, fps: str) -> Iterator[Served]:
    """Build the site of a synthetic ledger beside the real record of the contest and serve it."""
    made = shelf.make(
        root, size=(218, 290), n_pairs=N_FRAMES // 2, runs=shelf.RUNS[:9], clips=CLIPS, fps=fps, whole_pixels=True
    )
    for name in ("external", "benchmarks", "negative"):
        shutil.copytree(ROOT / "ledgers" / name, made.ledgers / name)
    leave_answers(made)
    book = intake.load(ROOT / "site_src", made.ledgers)
    media = clips.prepare(book, root / "cache", lambda *_: None)
    script = interactive.script()
    planned = plan.make(book, media, partial(render.figure_makers, ROOT / "templates"), script)
    gate = leaks.Gate(shipped={path: data.digest_of(content) for path, content in script.items()})
    with served(planned, root, made, gate) as site:
        yield site


def leave_answers(made: shelf.Made) -> None:
    """Class maps whose disagreement is what pairs.csv says, for every run: a few pixels of each pair differ."""
    import numpy as np

    from lab.answers import sheet

    height, width = made.contract.model_size
    chance = np.random.default_rng(5)
    for folder in sorted((made.ledgers / made.contract.name / "evidence").iterdir()):
        rows = [line.split(",") for line in (folder / "pairs.csv").read_text().splitlines()[1:]]
        source = chance.integers(0, 5, (len(rows), height, width), np.uint8)
        decode = source.copy().reshape(len(rows), -1)
        for pair, (_, segnet, _) in enumerate(rows):
            wrong = round(float(segnet) * height * width)
            decode[pair, :wrong] = (decode[pair, :wrong] + 1) % 5
        (folder / "answers.png").write_bytes(sheet(source, decode.reshape(source.shape)))
