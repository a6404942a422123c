"""A builder that stays: after any change its tree is that of a fresh builder, and little of it was written."""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import shelf
from conftest import ROOT, SOURCE, TEMPLATES

import build as builder
from lab import archive, custody
from lab.errors import LabError, LeakFound
from lab.ledger import Ledger
from lab.site import index, intake, publish, watch


def told(*_: Any) -> None: ...


@dataclass
class Site:
    """A site that is built again and again, from sources of its own."""

    made: shelf.Made
    out: Path
    memory: watch.Memory
    ids: list[str] = field(default_factory=list)

    def build(self) -> int:
        """Build what changed, compare with a fresh build, and say how many files were put."""
        checked, _ = builder.build(self.made.ledgers, told, self.out, memory=self.memory)
        self.memory.rest()
        fresh, _ = builder.build(self.made.ledgers, told, None)
        assert publish.differences(fresh.files, self.out) == []
        assert list(checked.files) == list(fresh.files)
        assert self.memory.twin.stands
        return len(checked.changed)

    def record(self, segnet: float, parent: str | None = None, **changes: Any) -> str:
        """One more run; promoted unless told otherwise."""
        number = len(self.ids) + len(shelf.RUNS)
        slug = f"more-{number}"
        pairs = shelf.spread(number, 6, segnet, 3 * segnet)
        data = archive.write(shelf.payload_of(random.Random(number).randbytes(900), (54, 70), 6))
        digest = custody.sha256_bytes(data)
        record = shelf.a_record(self.made.contract, slug, data=digest, n_bytes=len(data), pairs=pairs, changed="more")
        record["recorded_at"] = f"2026-05-01T10:{number:02d}:00Z"
        record["parents"] = [parent] if parent else []
        record |= changes
        record["grade"], record["grade_reasons"] = shelf.grade(record, self.made.contract)
        store = Ledger(self.made.ledgers)
        shelf.keep(store, self.made.contract, record, data, pairs)
        store.append(record, self.made.contract)
        self.ids.append(record["id"])
        return str(record["id"])

    def path(self, *names: str) -> Path:
        """Something below the ledger."""
        return self.made.ledgers.joinpath(shelf.NAME, *names)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A ledger, prose, templates and caches that only this test has."""
    for name, where in (("SOURCE", SOURCE), ("TEMPLATES", TEMPLATES)):
        monkeypatch.setattr(builder, name, Path(shutil.copytree(where, tmp_path / where.name)))
    for name in ("CACHE", "COMPILED"):
        monkeypatch.setattr(builder, name, tmp_path / name.lower())
    out = tmp_path / "site" / "public"
    made = Site(made=shelf.make(tmp_path, clips=0), out=out, memory=watch.Memory(publish.Twin(out)))
    yield made
    made.memory.close()
    assert not out.exists() or [path.name for path in out.parent.iterdir()] == ["public"]


def run_of(site: Site, slug: str) -> str:
    return site.made.ids[slug]


@pytest.mark.parametrize("many", [False, True])
def test_every_kind_of_change_gives_the_tree_of_a_fresh_build(
    site: Site, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if many:  # as long ledgers are: lists in parts, evidence of promoted runs only
        for name, value in (("LONG", 9), ("SHOWN", 5), ("LEAST", 2), ("MOST", 5), ("ONE_IN", 2)):
            monkeypatch.setattr(index, name, value)
        monkeypatch.setattr(intake, "EVIDENCE_RUN_LIMIT", 10)
    whole = site.build()
    assert site.build() == 0
    parent = run_of(site, "av1-grid-crf30")
    child = site.record(0.02, parent, verdict="rejected")
    assert 0 < site.build() < whole / 2
    site.record(0.03, child, verdict="rejected")
    assert 0 < site.build() < whole / 2
    best = site.record(0.0001, parent)  # every page names the frontier
    site.build()
    site.record(0.0002, None, supersedes=child, verdict="open")
    site.build()
    for change in changes(site, best, child) if many else ():
        change()
        site.build()


def changes(site: Site, best: str, child: str) -> list[Callable[[], Any]]:
    """Everything else that may change below a builder."""
    prose, settings = builder.SOURCE / "pages" / "writing.md", builder.SOURCE / "site.toml"
    style, page = builder.SOURCE / "assets" / "site.css", builder.TEMPLATES / "run.html"

    def edit(path: Path, old: str, new: str) -> Callable[[], Any]:
        def change() -> None:
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new, 1), encoding="utf-8")

        return change

    def replay() -> None:
        digest = json.loads(site.path("runs", f"{best}.json").read_text(encoding="utf-8"))["custody"]
        text = json.dumps({"schema": "lab.replay/1", "replays": [], "of": digest["archive_sha256"]})
        site.path("evidence", best, "replay.json").write_text(text, encoding="utf-8")

    def gone() -> None:
        last = site.ids.pop(1)
        site.path("runs", f"{last}.json").unlink()
        shutil.rmtree(site.path("evidence", last))

    return [
        edit(prose, "\n\n", "\n\nOne sentence more.\n\n"),
        edit(style, "{", "{ --more: 1;"),
        edit(page, "<h1>", '<h1 class="more">'),
        edit(settings, 'title = "', 'title = "New '),
        lambda: site.path("evidence", best, "report.txt").write_text("another report\n", encoding="utf-8"),
        lambda: site.path("evidence", best, "private.txt").write_text("not declared\n", encoding="utf-8"),
        lambda: site.path("evidence", best, "report.txt").unlink(),
        replay,
        gone,
        edit(site.path("contract.toml"), 'title = "', 'title = "New '),
    ]


def test_what_is_refused_leaves_the_old_site_and_is_forgotten_once_it_is_mended(site: Site) -> None:
    site.build()
    before = site.memory.former.files
    prose = builder.SOURCE / "pages" / "writing.md"
    text = prose.read_text(encoding="utf-8")
    child = site.record(0.02, run_of(site, "av1-grid-crf30"), verdict="rejected")
    for broken in (f"{text}\n[nowhere](/nowhere/)\n", f"{text}\n{{{{ nothing.at.all }}}}\n"):
        prose.write_text(broken, encoding="utf-8")
        with pytest.raises(LabError):
            site.build()
        assert publish.differences(before, site.out) == []
        assert not (site.out / "runs" / shelf.NAME / child).exists()
        site.memory.rest()
    prose.write_text(text, encoding="utf-8")
    assert 0 < site.build() < len(before) / 2
    assert (site.out / "runs" / shelf.NAME / child / "index.html").is_file()


def test_what_is_no_longer_declared_public_is_looked_for_in_files_that_did_not_change(site: Site) -> None:
    prose, settings = builder.SOURCE / "pages" / "writing.md", builder.SOURCE / "site.toml"
    plain, handle = settings.read_text(encoding="utf-8"), "someone@forge.example"
    prose.write_text(prose.read_text(encoding="utf-8") + f"\nWrite to {handle}.\n", encoding="utf-8")
    settings.write_text(f'declared = ["{handle}"]\n' + plain.replace("declared", "# declared"), encoding="utf-8")
    site.build()
    assert site.build() == 0
    settings.write_text(plain, encoding="utf-8")
    with pytest.raises(LeakFound):
        builder.build(site.made.ledgers, told, site.out, memory=site.memory)
    site.memory.rest()
    settings.write_text(f'declared = ["{handle}"]\n' + plain.replace("declared", "# declared"), encoding="utf-8")
    site.build()


def test_a_site_that_cannot_be_written_is_written_whole_afterwards(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.build()
    site.record(0.02, run_of(site, "av1-grid-crf30"), verdict="rejected")
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        patched.setattr(publish, "_put", refuse)
        with pytest.raises(OSError, match="full"):
            builder.build(site.made.ledgers, told, site.out, memory=site.memory)
    assert not site.memory.twin.stands
    site.build()


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(28, "the disk is full")


@pytest.mark.parametrize("apart", [False, True])
def test_a_tree_that_another_builder_put_there_is_replaced_whole(site: Site, apart: bool) -> None:
    """From another process, which leaves the tree beside the site, or from this one, which sweeps it away."""
    site.build()
    site.build()
    writing = builder.SOURCE / "pages" / "writing.md"
    text = writing.read_text(encoding="utf-8")
    writing.write_text(text.replace("\n\n", "\n\nWords of another builder.\n\n", 1), encoding="utf-8")
    process = os.fork() if apart else 0
    if not process:
        try:
            builder.build(site.made.ledgers, told, site.out)
        finally:
            if apart:
                os._exit(0)
    else:
        os.waitpid(process, 0)
    assert "Words of another" in (site.out / "writing" / "index.html").read_text(encoding="utf-8")
    writing.write_text(text, encoding="utf-8")
    for _ in range(2):  # the second begins with what the first left beside
        site.record(0.02, run_of(site, "av1-grid-crf30"), verdict="rejected")
        site.build()


def test_the_two_trees_share_files_until_one_of_them_changes(site: Site) -> None:
    site.build()
    site.build()
    twin = next(path for path in site.out.parent.iterdir() if path != site.out)
    assert (twin / "404.html").samefile(site.out / "404.html")
    held = (site.out / "feed.xml").open("rb")
    before = held.read()
    site.record(0.0001, run_of(site, "av1-grid-crf30"))
    site.build()
    held.seek(0)
    assert held.read() == before != (site.out / "feed.xml").read_bytes()  # who reads the old file reads all of it
    held.close()


def test_a_turn_comes_with_every_change_once_it_is_calm() -> None:
    states = iter([("a", at, 1)] for at in (1, 1, 1, 2, 3, 3, 3, 4, 3, 3, 5))
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 10

    turns = watch.turns(lambda: next(states), wait)
    next(turns)
    assert waits == []
    next(turns)
    every, calm = watch.EVERY_S, pytest.approx(watch.CALM_S, abs=0.1)
    assert waits == [every] * 3 + [calm] * 2
    assert list(turns) == []  # it went away and came back, which is no change; then it was ended
    assert waits[5:] == [every, every, calm, calm, every]


def test_somebody_may_look_ahead_while_it_is_waited_for_calm() -> None:
    states = iter([("a", at, 1)] for at in (1, 2, 3, 3, 3))
    seen: list[str] = []

    def wait(seconds: float) -> bool:
        seen.append("calm" if seconds < watch.EVERY_S else "wait")
        return len(seen) == 6

    turns = watch.turns(lambda: next(states), wait, lambda: seen.append("ahead"))
    next(turns)
    next(turns)
    assert seen == ["wait", "ahead", "calm", "ahead", "calm"]
    assert list(turns) == []


def test_pages_that_stay_are_the_same_objects_and_hold_no_former_build(site: Site) -> None:
    site.build()
    parent = run_of(site, "baseline-fast")
    site.record(0.03, parent, verdict="rejected")
    site.build()
    before, old = dict(site.memory.former.tree), weakref.ref(site.memory.stage.shelves[shelf.NAME])
    child = site.record(0.02, parent, verdict="rejected")
    site.build()
    runs = {name for name in site.memory.former.tree if name.startswith("runs/") and name in before}
    drawn = {name.split("/")[2] for name in runs if site.memory.former.tree[name] is not before[name]}
    stands = intake.load(builder.SOURCE, site.made.ledgers).main.boards[0]
    assert {parent, *(one.id for one in stands.children[parent] if one.id != child)} == drawn
    assert runs - {f"runs/{shelf.NAME}/{name}/index.html" for name in drawn}
    del before
    gc.collect()
    assert old() is None


def test_what_decides_a_turn_is_seen(site: Site) -> None:
    look = partial(watch.scan, site.made.ledgers, builder.SOURCE, builder.TEMPLATES)
    seen = [look()]
    assert look() == seen[0]
    child = site.record(0.02, run_of(site, "av1-grid-crf30"), verdict="rejected")
    seen.append(look())
    (site.path("evidence", child) / "replay.json").write_text("{}", encoding="utf-8")
    seen.append(look())
    (builder.SOURCE / "pages" / "writing.md").write_text("+++\ntitle = 'x'\n+++\n", encoding="utf-8")
    seen.append(look())
    (builder.TEMPLATES / "more.html").write_text("x", encoding="utf-8")
    seen.append(look())
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_the_command_builds_again_after_a_change_and_leaves_nothing_beside_the_site(site: Site) -> None:
    command = [sys.executable, "build.py", "--watch", "--ledgers", str(site.made.ledgers), "--out", str(site.out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("watching"):
            assert line
        child = site.record(0.02, run_of(site, "av1-grid-crf30"), verdict="rejected")
        assert "files changed" in process.stdout.readline()
        assert (site.out / "runs" / shelf.NAME / child / "index.html").is_file()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [path.name for path in site.out.parent.iterdir()] == ["public"]
    done = subprocess.run([*command, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--watch" in done.stderr


@pytest.mark.slow
def test_kills_while_it_builds_again_leave_the_old_site_or_the_new_one(site: Site) -> None:
    """kill -9 at random points of a second build in the same process; the next builder clears what was left beside."""
    chance, done, took = random.Random(4), 0, 0.0
    parent = run_of(site, "av1-grid-crf30")
    for kill in range(41):  # the first child comes to its end, and tells how long that takes here
        site.build()
        old = {name: one.sha256 for name, one in site.memory.former.files.items()}
        child = site.record(0.02 + chance.random() / 100, parent, verdict="rejected")
        new = builder.build(site.made.ledgers, told, None)[0].files
        ready, told_ready = os.pipe()
        process = os.fork()
        if process == 0:
            os.write(told_ready, b"x")
            builder.build(site.made.ledgers, told, site.out, memory=site.memory)
            os._exit(0)
        os.read(ready, 1)
        started = time.monotonic()
        if kill:
            time.sleep(took * 1.6 * chance.random())
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        took = took or time.monotonic() - started
        is_new = (site.out / "runs" / shelf.NAME / child).exists()
        expected = {name: one.sha256 for name, one in new.items()} if is_new else old
        found = {
            path.relative_to(site.out).as_posix(): custody.sha256_file(path)
            for path in site.out.rglob("*")
            if path.is_file()
        }
        assert found == expected
        done += is_new and kill > 0
        site.memory.close()
        site.memory = watch.Memory(publish.Twin(site.out))
    print(f"40 kills, {done} finished swaps among them")
    assert 0 < done < 40
