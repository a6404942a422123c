"""Whatever happens to a build, the published folder is the old tree or the new one."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import shelf
from conftest import build

from lab import custody, shares
from lab.errors import BrokenLink, LeakFound, MediaMissing, SiteError
from lab.site import check, data, publish

KILLS = 200


def digest(folder: Path) -> str:
    """One digest of every name and content below a folder."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def child(work: object) -> int:
    """Start `work` in a forked process; its id."""
    process = os.fork()
    if process == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    return process


@pytest.mark.slow
def test_two_hundred_kills_leave_the_old_site_or_the_new_one(tmp_path: Path) -> None:
    """kill -9 at random points of whole builds of two ledgers in turn, each in a process of its own."""
    target, chance = tmp_path / "site" / "public", random.Random(9)
    ledgers = [shelf.make(tmp_path / str(n), runs=shelf.RUNS[:n], clips=0).ledgers for n in (1, 2)]
    cache, whole, took = tmp_path / "cache", [], 0.0
    for one in ledgers:
        started = time.monotonic()
        publish.swap(build(one, cache).tree, target)
        took, whole = time.monotonic() - started, [*whole, digest(target)]
    seen = []
    for number in range(KILLS):

        def work(number: int = number) -> None:
            publish.swap(build(ledgers[number % 2], cache).tree, target)

        process = child(work)
        # most of a build never touches the folder, so every second kill falls into its last part
        time.sleep(took * (chance.random() * 1.3 if number % 2 else 0.75 + 0.5 * chance.random()))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        seen.append(digest(target))
        assert seen[-1] in whole, number
    changes = sum(a != b for a, b in itertools.pairwise(seen))
    print(f"{KILLS} kills, {changes} finished swaps among them")
    assert changes > 0
    publish.swap({"_headers": b""}, target)
    assert [path.name for path in target.parent.iterdir()] == ["public"]


def test_a_full_disk_leaves_the_old_site_and_one_clear_line(tmp_path: Path) -> None:
    """The system refuses a write for real: a limit on the size of files stands for the disk's end."""
    target = tmp_path / "public"
    publish.swap({"_headers": b"old"}, target)
    before, limits = digest(target), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(SiteError, match="untouched") as caught:
            publish.swap({"_headers": b"new", "a.html": b"x" * 100_000}, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert digest(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB of its own, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_leaves_the_old_site_and_one_clear_line(disk: Path) -> None:
    target = disk / "public"
    publish.swap({"_headers": b"old"}, target)
    before = digest(target)
    with pytest.raises(SiteError, match="No space left on device") as caught:
        publish.swap({"_headers": b"new", "a.html": b"x" * 400_000}, target)
    assert "\n" not in str(caught.value) and "untouched" in str(caught.value)
    assert digest(target) == before
    assert [path.name for path in disk.iterdir()] == ["public"]


def test_a_read_only_folder_leaves_the_old_site_and_one_clear_line(disk: Path) -> None:
    """Read-only for everybody, the administrator too."""
    target = disk / "public"
    publish.swap({"_headers": b"old"}, target)
    before = digest(target)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(SiteError, match="Read-only file system") as caught:
        publish.swap({"_headers": b"new"}, target)
    assert "\n" not in str(caught.value) and "untouched" in str(caught.value)
    assert digest(target) == before


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    target = tmp_path / "public"
    publish.swap({"_headers": b"old"}, target)
    before = digest(target)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SiteError, match="check space and permissions"):
        publish.swap({"_headers": b"new"}, tmp_path / "file" / "public")
    assert digest(target) == before


def test_a_clip_that_vanishes_during_the_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaMissing, match=r"gone\.mp4"):
        check.check({"media/x.mp4": tmp_path / "gone.mp4"})


def many(**odd: bytes) -> dict[str, bytes]:
    """Enough pages for several processes, all linked, and what a test puts among them."""
    pages = {f"p/{n}.html": b'<p id="a"></p><a href="#a">here</a><a href="./0.html#a">there</a>' for n in range(600)}
    return {"_headers": b"new", **pages, **{f"p/{name}.html": content for name, content in odd.items()}}


@pytest.mark.parametrize(
    ("odd", "error", "what"),
    [
        (b"<p>the file /home/somebody/thesis.tex</p>", LeakFound, "absolute path"),
        (b'<a href="./nowhere.html">x</a>', BrokenLink, "nowhere"),
        (b'<a href="./1.html#b">x</a>', BrokenLink, "no element of that id"),
        (b'<p id="a"></p><p id="a"></p>', SiteError, "every id once"),
        (b"<script>1</script>", SiteError, "no inline"),
    ],
)
def test_what_one_of_many_pages_breaks_stops_the_build_and_leaves_the_old_site(
    odd: bytes, error: type[Exception], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the page falls among the processes, and though others were written beside the target already."""
    monkeypatch.setattr(shares, "processes", lambda: 3)
    target = tmp_path / "public"
    publish.swap({"_headers": b"old"}, target)
    before = digest(target)
    for name in ("0first", "zlast"):
        with pytest.raises(error, match=what), publish.draft(target) as place:
            check.check(dict(sorted(many(**{name: odd}).items())), place=place)
        assert digest(target) == before
        assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_every_file_is_made_once_and_the_seal_knows_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "processes", lambda: 2)
    made = tmp_path / "made"

    def page(number: int) -> bytes:
        with made.open("ab") as stream:
            stream.write(b"%d\n" % number)
        return b"<p>%d</p>" % number

    tree = {f"{n}.html": data.Late(partial(page, n)) for n in range(600)}
    seal = data.Seal(lambda files: "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files)).encode())
    with publish.draft(tmp_path / "public") as place:
        checked = check.check({**tree, "all.txt": seal}, place=place)
    assert sorted(map(int, made.read_text(encoding="ascii").split())) == list(range(600))
    listed = dict(line.split("  ")[::-1] for line in (tmp_path / "public" / "all.txt").read_text().splitlines())
    assert listed == {name: custody.sha256_file(tmp_path / "public" / name) for name in tree}
    assert publish.differences(checked.files, tmp_path / "public") == []
    (tmp_path / "public" / "7.html").write_bytes(b"<p>8</p>")
    assert publish.differences(checked.files, tmp_path / "public") == ["7.html"]
