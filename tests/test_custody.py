"""Digests and manifests: exactly the files that were sealed, and nothing that only looks like a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import custody
from lab.errors import CustodyError, DigestMismatch


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A folder with a manifest."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b with space.txt").write_text("b")
    custody.seal(folder)
    return folder


def test_the_manifest_is_what_sha256sum_reads(sealed: Path) -> None:
    assert custody.check_seal(sealed) == 2
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", custody.MANIFEST], cwd=sealed, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("OK")) == (0, 2)


@pytest.mark.parametrize("name", ["a.txt", "inner/b with space.txt"])
def test_a_changed_file_is_named(name: str, sealed: Path) -> None:
    (sealed / name).write_text("changed")
    with pytest.raises(DigestMismatch, match=name):
        custody.check_seal(sealed)


def test_a_lost_and_an_added_file_are_named(sealed: Path) -> None:
    (sealed / "a.txt").rename(sealed / "c.txt")
    with pytest.raises(CustodyError, match=r"a\.txt, c\.txt"):
        custody.check_seal(sealed)


@pytest.mark.parametrize("line", ["", "nonsense", f"{'a' * 63}  x", f"{'g' * 64}  x", f"{'a' * 64} *x"])
def test_a_manifest_with_another_line_is_refused(line: str, sealed: Path) -> None:
    path = sealed / custody.MANIFEST
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(CustodyError):
        custody.check_seal(sealed)


def test_a_file_listed_twice_is_refused(sealed: Path) -> None:
    path = sealed / custody.MANIFEST
    path.write_text(path.read_text() * 2)
    with pytest.raises(CustodyError, match="one line"):
        custody.check_seal(sealed)


def test_links_pipes_and_names_with_controls_are_no_files(tmp_path: Path) -> None:
    for number, make in enumerate(
        (
            lambda folder: (folder / "x").symlink_to("/etc/hostname"),
            lambda folder: (folder / "x").symlink_to("nowhere"),
            lambda folder: (folder / "x").symlink_to("/etc", target_is_directory=True),
            lambda folder: os.mkfifo(folder / "x"),
            lambda folder: (folder / "a\nb").touch(),
            lambda folder: (folder / "a\\b").touch(),
            lambda folder: (folder / "\x1b[2J").mkdir(),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder)
        with pytest.raises(CustodyError):
            custody.tree(folder)


def test_a_tree_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "TREE_LIMIT_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}").touch()
    with pytest.raises(CustodyError, match="at most 3 files"):
        custody.tree(tmp_path)
    monkeypatch.setattr(custody, "TREE_LIMIT_FILES", 10)
    with (tmp_path / "0").open("wb") as huge:
        huge.truncate(custody.TREE_LIMIT_BYTES + 1)
    with pytest.raises(CustodyError, match="bytes in all"):
        custody.tree(tmp_path)


def test_a_tree_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CustodyError):
        custody.tree(tmp_path / "absent")


def test_an_identity_depends_on_each_of_its_parts() -> None:
    parts = ("archive", "runtime", "cpu", "evaluator")
    names = {custody.identity(*parts)}
    for place in range(len(parts)):
        names.add(custody.identity(*parts[:place], "other", *parts[place + 1 :]))
    names.add(custody.identity(*parts, ""))
    assert len(names) == 6


def test_a_tree_digest_does_not_depend_on_order() -> None:
    files = [("a", b"1"), ("b", b"2")]
    assert custody.sha256_tree(files) == custody.sha256_tree(reversed(files))
    assert custody.sha256_tree(files) != custody.sha256_tree([("a", b"2"), ("b", b"1")])


def test_code_is_dirty_when_it_differs_and_records_do_not_count(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git")
    assert custody.commit(tmp_path) == ("unversioned", True)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "x.py").write_text("x = 1\n")
    settings = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "lab"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *settings, *arguments], cwd=tmp_path, check=True)
    head, dirty = custody.commit(tmp_path)
    assert (len(head), dirty) == (40, False)
    (tmp_path / "ledgers").mkdir()
    (tmp_path / "ledgers" / "new.json").touch()
    assert custody.commit(tmp_path) == (head, False)
    (tmp_path / "lab" / "x.py").write_text("x = 2\n")
    assert custody.commit(tmp_path) == (head, True)
