"""Nothing leaves this machine that is not committed, built, verified and confirmed; the host's tool is made up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf
from conftest import ROOT

from lab import contract, custody
from lab.errors import PacketError, SiteError
from lab.ledger import Ledger
from lab.site import bundle, data, deploy, publish

TOOL = """#!/bin/sh
echo "$@" >> "$SENT"
ls public > "$SENT.listing"
exit ${TOOL_EXIT:-0}
"""


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def checkout(folder: Path, ledgers: Path) -> Path:
    """A small checkout of this program, with other ledgers, committed."""
    folder.mkdir()
    for name in ("lab", "templates", "site_src"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("build.py", "wrangler.jsonc", ".gitignore", "CITATION.cff"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ledgers, folder / "ledgers")
    (folder / "public").mkdir()
    shutil.copyfile(ROOT / "public" / ".gitignore", folder / "public" / ".gitignore")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a site")
    return folder


def tool(folder: Path) -> Path:
    """A host's tool that writes down what it was asked, under the name by which it is looked for."""
    folder.mkdir(exist_ok=True)
    path = folder / "wrangler"
    path.write_text(TOOL, encoding="utf-8")
    path.chmod(0o755)
    return path


def build(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "build.py", *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed checkout with a built site; its packet has an archive only, since every value in it is made up."""
    root = tmp_path_factory.mktemp("deploy")
    made = shelf.make(root / "made", runs=shelf.RUNS[:2], clips=0)
    found = checkout(root / "checkout", made.ledgers)
    done = build(found)
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def way(place: Path, tmp_path: Path) -> SimpleNamespace:
    """A way out of that checkout, and what its tool was asked."""
    sent = tmp_path / "sent"
    tree = {
        path.relative_to(place / "public").as_posix(): path.read_bytes()
        for path in sorted((place / "public").rglob("*"))
        if path.is_file() and path.name != publish.KEPT
    }
    found = deploy.Way(
        root=place,
        public=place / "public",
        ledgers=tmp_path / "ledgers",
        scratch=tmp_path / "verdict",
        tool=str(tool(tmp_path / "bin")),
        environment={"PATH": os.environ["PATH"], "SENT": str(sent)},
    )
    files = {name: data.File(len(content), custody.sha256_bytes(content)) for name, content in tree.items()}
    return SimpleNamespace(
        way=found, tree=tree, files=files, sent=sent, digest=custody.sha256_bytes(tree[bundle.BUNDLE])
    )


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge is taken at its word here; `test_a_real_packet_is_verified_and_goes_out` asks it."""
    monkeypatch.setattr(deploy, "confirmed_run", lambda *_: "a-run-00000000")


def answering(text: str) -> Callable[[str], str]:
    return lambda _: text


def refused(place: Path, tmp_path: Path, why: str) -> None:
    """`build.py --deploy` says why in one line, and the host's tool was never called, though it was confirmed."""
    digest = custody.sha256_file(place / "public" / bundle.BUNDLE)
    path = f"{tool(tmp_path / 'bin').parent}{os.pathsep}{os.environ['PATH']}"
    done = build(place, "--deploy", "--confirm", digest, PATH=path, SENT=str(tmp_path / "sent"))
    assert done.returncode == 1, done.stdout
    said = (done.stderr.strip() or done.stdout.strip().splitlines()[-1]).splitlines()
    assert len(said) == 1
    assert why in said[0]
    assert not (tmp_path / "sent").exists()


def test_a_tree_that_is_not_committed_is_refused(place: Path, tmp_path: Path) -> None:
    stray = place / "ledgers" / "stray.json"
    stray.write_text("{}", encoding="utf-8")
    try:
        refused(place, tmp_path, "1 changed or new: ledgers/stray.json")
    finally:
        stray.unlink()
    deploy.clean_commit(place)
    with pytest.raises(SiteError, match="a checkout with a commit"):
        deploy.clean_commit(tmp_path)


def test_a_site_that_is_not_what_the_tree_gives_is_refused(place: Path, tmp_path: Path) -> None:
    page = place / "public" / "index.html"
    kept = page.read_bytes()
    page.write_bytes(kept + b" ")
    try:
        refused(place, tmp_path, "public differs in 1 files: index.html")
    finally:
        page.write_bytes(kept)


def test_a_leak_is_refused(place: Path, tmp_path: Path) -> None:
    record = next((place / "ledgers" / shelf.NAME / "evidence").glob("*/report.txt"))
    kept = record.read_text(encoding="utf-8")
    record.write_text(kept + "made by someone@example.org\n", encoding="utf-8")
    git(place, "commit", "--quiet", "--all", "--message", "a leak")
    try:
        refused(place, tmp_path, "e-mail address")
    finally:
        git(place, "reset", "--quiet", "--hard", "HEAD~1")


def test_a_packet_that_the_judge_does_not_confirm_is_refused(place: Path, tmp_path: Path) -> None:
    """The real verb judges the made-up packet of the site, which has neither decoder nor papers."""
    with pytest.raises(PacketError, match="found refuted: "):
        deploy.confirmed_run(place / "public", place, tmp_path / "verdict")
    with pytest.raises(PacketError, match="promote a run first"):
        deploy.confirmed_run(tmp_path, place, tmp_path)


def test_what_goes_out_is_told_before_the_question(way: SimpleNamespace, verified: None) -> None:
    said: list[str] = []
    asked_at: list[int] = []

    def ask(question: str) -> str:
        asked_at.append(len(said))
        return ""

    assert not way.way.publish(way.files, "c" * 40, ask, said.append)
    before = "\n".join(said[: asked_at[0]])
    size = sum(map(len, way.tree.values()))
    assert f"{len(way.tree):,} files, {size:,} bytes, of commit cccccccccccc" in before
    assert f"bundle manifest {way.digest}" in before
    assert f"archive.zip {custody.sha256_bytes(way.tree['packet/frontier/archive.zip'])}" in before
    assert f"{len(way.tree):,} added" in before
    assert said[-1] == "not confirmed; nothing was sent"
    assert not way.sent.exists()


@pytest.mark.parametrize("answer", ["y", "yes", "", "0" * 8, "7 digits"])
def test_only_the_digest_that_was_shown_confirms(way: SimpleNamespace, verified: None, answer: str) -> None:
    answer = way.digest[:7] if answer == "7 digits" else answer
    assert not way.way.publish(way.files, "c" * 40, answering(answer), lambda _: None)
    assert not way.sent.exists() and deploy.last(way.way.ledgers) is None


def test_a_question_that_nobody_can_answer_is_a_no(way: SimpleNamespace, verified: None) -> None:
    def ask(question: str) -> str:
        raise EOFError

    assert not way.way.publish(way.files, "c" * 40, ask, lambda _: None)


def test_a_confirmed_release_is_sent_once_and_the_next_is_told_against_it(way: SimpleNamespace, verified: None) -> None:
    assert way.way.publish(way.files, "c" * 40, answering(way.digest[:8].upper()), lambda _: None)
    assert way.sent.read_text(encoding="utf-8") == "deploy\n"
    assert "index.html" in way.sent.with_suffix(".listing").read_text(encoding="utf-8")
    kept = deploy.last(way.way.ledgers)
    assert kept is not None and (kept.digest, kept.commit) == (way.digest, "c" * 40)
    files = {name: facts for name, facts in kept.files.items() if name != "robots.txt"}
    later = deploy.Release(
        commit="d" * 40, run="r", digest="e" * 64, files={**files, "index.html": (1, "f" * 64), "new.html": (1, "a")}
    )
    assert later.against(kept) == {"added": ["new.html"], "changed": ["index.html"], "removed": ["robots.txt"]}
    assert deploy.remember(later, way.way.ledgers).name == "0002.json"
    assert deploy.last(way.way.ledgers) == later


def test_a_failed_upload_is_told_and_leaves_no_release(way: SimpleNamespace, verified: None) -> None:
    failing = deploy.Way(
        **{name: getattr(way.way, name) for name in ("root", "public", "ledgers", "scratch", "tool")},
        environment={**way.way.environment, "TOOL_EXIT": "3"},
    )
    with pytest.raises(SiteError, match="exit 3; no release is on record"):
        failing.publish(way.files, "c" * 40, answering(way.digest), lambda _: None)
    assert deploy.last(way.way.ledgers) is None


def test_a_site_that_changes_while_the_question_stands_is_refused(
    way: SimpleNamespace, verified: None, place: Path
) -> None:
    extra = place / "public" / "late.html"

    def ask(question: str) -> str:
        extra.write_text("", encoding="utf-8")
        return str(way.digest)

    try:
        with pytest.raises(SiteError, match=r"late\.html changed"):
            way.way.publish(way.files, "c" * 40, ask, lambda _: None)
    finally:
        extra.unlink()
    assert not way.sent.exists()


@pytest.mark.slow
def test_a_real_packet_is_verified_and_goes_out(tmp_path: Path) -> None:
    """A recorded run of this ledger alone: its packet is inflated twice inside walls and measured, then sent."""
    kept, official = Ledger(ROOT / "ledgers"), contract.load("minidrive", ROOT / "ledgers")
    runs = [kept.read(path, official) for path in kept.record_paths(official)]
    run = min(
        (one for one in runs if one.data["contract_sha256"] == official.digest and one.verdict == "promoted"),
        key=lambda one: float(one.data["evaluation"]["inflate_s"]),
    )
    here = tmp_path / "ledgers" / "minidrive"
    named = run.data["custody"]
    for path in (
        kept.record_path("minidrive", run.id),
        kept.evidence("minidrive", run.id),
        kept.archive("minidrive", named["archive_sha256"]),
        kept.runtime("minidrive", named["runtime_sha256"]),
    ):
        target = here / path.relative_to(kept.folder("minidrive"))
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
    place = checkout(tmp_path / "checkout", tmp_path / "ledgers")
    assert build(place).returncode == 0
    digest = custody.sha256_file(place / "public" / bundle.BUNDLE)
    path = f"{tool(tmp_path / 'bin').parent}{os.pathsep}{os.environ['PATH']}"
    done = build(place, "--deploy", "--confirm", digest[:8], PATH=path, SENT=str(tmp_path / "sent"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"packet of {run.id}, confirmed" in done.stdout
    assert (tmp_path / "sent").read_text(encoding="utf-8") == "deploy\n"
    assert (place / "ledgers" / "releases" / "0001.json").is_file()
    assert "ledgers/releases/" in build(place, "--deploy", "--confirm", digest).stderr  # the record wants a commit
