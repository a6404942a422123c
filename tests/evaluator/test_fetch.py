"""Fetching takes published files only, all of them or none, and says in one line why it cannot."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import cli, contract
from lab.contract import Contract
from lab.errors import ContractError, DigestMismatch
from lab.evaluator import fetch

CONTENT = {"videos/0.mkv": b"a video", "models/segnet.safetensors": b"classes", "models/posenet.safetensors": b"poses"}


def silent(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


@pytest.fixture
def small(tmp_path: Path) -> Contract:
    """The official contract with digests and sizes of three small files."""
    official = contract.load("comma-2026")
    text = (official.root / "contract.toml").read_text(encoding="utf-8")
    digests = [official.source.sha256, official.networks["segnet"].sha256, official.networks["posenet"].sha256]
    for digest, content in zip(digests, CONTENT.values(), strict=True):
        text = text.replace(digest, hashlib.sha256(content).hexdigest())
    _, files = fetch.wanted(official)
    for item in files:
        size = f'file = "files/{item.target.name}", bytes = '
        text = text.replace(f"{size}{item.n_bytes}", f"{size}{len(CONTENT[item.upstream])}")
    root = tmp_path / "contracts" / "comma-2026"
    root.mkdir(parents=True)
    (root / "contract.toml").write_text(text, encoding="utf-8")
    return contract.parse(text, root, "small")


def checkout(folder: Path, **changes: bytes) -> Path:
    """A folder laid out as the repository."""
    for place, content in CONTENT.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(changes.get(Path(place).stem, content))
    return folder


def test_files_are_taken_from_a_checkout_once(small: Contract, tmp_path: Path) -> None:
    source = checkout(tmp_path / "clone")
    placed = fetch.fetch(small, source=source, monitor=silent)
    assert sorted(path.name for path in placed) == ["0.mkv", "posenet.safetensors", "segnet.safetensors"]
    assert small.source_path.read_bytes() == b"a video"
    assert small.weights_path("posenet").read_bytes() == b"poses"
    assert fetch.fetch(small, source=source, monitor=silent) == []


def test_a_flat_folder_does_as_well(small: Contract, tmp_path: Path) -> None:
    for place, content in CONTENT.items():
        (tmp_path / Path(place).name).write_bytes(content)
    assert len(fetch.fetch(small, source=tmp_path, monitor=silent)) == 3


def test_another_file_is_refused_and_nothing_is_taken(small: Contract, tmp_path: Path) -> None:
    source = checkout(tmp_path / "clone", segnet=b"cl4sses")
    with pytest.raises(DigestMismatch, match="nothing was taken"):
        fetch.fetch(small, source=source, monitor=silent)
    assert not list(small.root.glob("files/*"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"), (b"longer than it is", "7 bytes")],
)
def test_a_pointer_or_another_size_is_named(small: Contract, tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        fetch.fetch(small, source=checkout(tmp_path / "clone", segnet=content), monitor=silent)


def test_a_damaged_file_in_place_is_fetched_again(small: Contract, tmp_path: Path) -> None:
    source = checkout(tmp_path / "clone")
    fetch.fetch(small, source=source, monitor=silent)
    small.source_path.write_bytes(b"damaged")
    assert [path.name for path in fetch.fetch(small, source=source, monitor=silent)] == ["0.mkv"]
    assert small.source_path.read_bytes() == b"a video"


def test_a_clone_is_used_where_the_network_allows(
    small: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git is stood in for: what it is asked to do is what a checkout with large files needs."""
    asked: list[list[str]] = []

    def git(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        if "clone" in command:
            checkout(Path(command[-1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fetch.subprocess, "run", git)
    assert len(fetch.fetch(small, source=None, monitor=silent)) == 3
    assert asked[0][-2] == "https://github.com/commaai/comma_video_compression_challenge"
    assert asked[1][-3:] == ["lfs", "install", "--local"]
    assert asked[2][-4:-1] == ["lfs", "pull", "--include"]
    assert set(asked[2][-1].split(",")) == set(CONTENT)


@pytest.mark.skipif(not all(map(shutil.which, ("git", "git-lfs"))), reason="git-lfs is not installed")
def test_a_real_clone_brings_large_files_as_well(
    small: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git and git-lfs themselves, against a repository on this machine whose files are pointers in its history."""
    home, origin = tmp_path / "home", checkout(tmp_path / "origin")
    home.mkdir()
    for name, value in {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "config"),
    }.items():
        monkeypatch.setenv(name, value)

    def git(*words: str) -> str:
        who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        done = subprocess.run(["git", "-C", str(origin), *who, *words], capture_output=True, text=True, check=True)
        return done.stdout

    git("init", "--quiet")
    git("lfs", "install", "--local")
    git("lfs", "track", "*.mkv", "*.safetensors")
    git("add", "--all")
    git("commit", "--quiet", "--message", "a contest")
    assert git("show", "HEAD:videos/0.mkv").startswith("version https://git-lfs")
    real = fetch.wanted(small)[1]
    monkeypatch.setattr(fetch, "wanted", lambda contract: (origin.as_uri(), real))
    assert len(fetch.fetch(small, source=None, monitor=silent)) == 3
    assert small.source_path.read_bytes() == b"a video"


def test_offline_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 128, "", "fatal: unable to access: Could not resolve host\n")

    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fetch.subprocess, "run", offline)
    monkeypatch.setattr(fetch, "_stands", lambda item: False)
    assert cli.main(["--ledgers", str(tmp_path), "contract", "fetch", "comma-2026"]) == 1
    captured = capsys.readouterr()
    assert "Could not resolve host" in captured.err and "--from DIR" in captured.err
    # Two lines at most: the stage that was begun, and the reason with what to do next.
    assert len([line for line in captured.err.splitlines() if line.startswith("lab: ")]) == 1
    assert len(captured.err.strip().splitlines()) <= 2


def test_a_contract_with_files_of_its_own_is_not_fetched(tmp_path: Path) -> None:
    import fakes

    with pytest.raises(ContractError, match="only comma-2026"):
        fetch.wanted(fakes.toy_contract(tmp_path))
