"""Publishing on purpose: what stands in its way, what would go out, and the host's own tool that sends it.

Nothing is sent from a tree that is not committed, a site that is not what the tree gives, or a packet that was not
confirmed. Every release leaves `ledgers/releases/NUMBER.json`, against which the next one is told.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import store
from lab.errors import PacketError, SiteError
from lab.site import format as show
from lab.site import publish
from lab.site.bundle import BUNDLE
from lab.site.data import File
from lab.site.packets import FOLDER

SCHEMA = "lab.release-record/1"
CONFIRMED_BY = 8  # digits of the bundle's digest that a confirmation repeats
NAMED = 8  # files of each kind of change that are told by name
# the host's tool reports to nobody and asks nothing
QUIET = {"WRANGLER_SEND_METRICS": "false", "WRANGLER_HIDE_BANNER": "true", "CI": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A site as it goes out: SHA-256 of its bundle manifest, and (bytes, SHA-256) of every file by its path."""

    commit: str
    run: str
    digest: str
    files: Mapping[str, tuple[int, str]]

    def against(self, former: Release | None) -> dict[str, list[str]]:
        """Paths by what happened to them since a former release; all are added where there was none."""
        old = former.files if former else {}
        return {
            "added": sorted(self.files.keys() - old.keys()),
            "changed": sorted(name for name in self.files.keys() & old.keys() if self.files[name] != old[name]),
            "removed": sorted(old.keys() - self.files.keys()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a site goes out from: the checkout, its built site, its ledgers, room for a verdict, the host's tool.

    `environment` is what the tool gets to see, its credentials among it.
    """

    root: Path
    public: Path
    ledgers: Path
    scratch: Path
    tool: str | None
    environment: Mapping[str, str]

    def publish(
        self, files: Mapping[str, File], commit: str, ask: Callable[[str], str], say: Callable[[str], None]
    ) -> bool:
        """Verify the packet, say what would go out, ask, and send it; False where the answer is no.

        Args:
            files: of a checked tree, equal to `public` byte for byte.
            ask: gives the answer to a question; the end of its input is a no.

        Raises:
            SiteError, PacketError: something stands in the way; nothing was sent, or nothing is on record.
        """
        name = project(self.root)
        if self.public.resolve() != (self.root / "public").resolve():
            raise SiteError("--out", expected="public, which is what the host takes", found=self.public.name)
        release = outgoing(files, commit, confirmed_run(self.public, self.root, self.scratch))
        for line in describe(release, last(self.ledgers), name):
            say(line)
        try:
            answer = ask(f"publish it? type the first {CONFIRMED_BY} digits of the bundle manifest's digest: ")
        except EOFError:
            answer = ""
        if not is_confirmation(answer, release):
            say("not confirmed; nothing was sent")
            return False
        if odd := publish.differences(files, self.public):
            raise SiteError(self.public.name, expected="to stay as it was looked at", found=f"{odd[0]} changed")
        self.send()
        path = remember(release, self.ledgers)
        say(f"published; commit its record releases/{path.name}, against which the next release is told")
        return True

    def send(self) -> None:
        """Let the host's tool publish; what it says goes to the terminal, its credentials are its own matter.

        Raises:
            SiteError: it is not there, or it failed.
        """
        if self.tool is None:
            raise SiteError("wrangler", expected="the host's tool", found="none", fix="`make preview` installs it")
        done = subprocess.run([self.tool, "deploy"], cwd=self.root, env={**self.environment, **QUIET}, check=False)
        if done.returncode:
            raise SiteError(
                "wrangler deploy", expected="exit 0", found=f"exit {done.returncode}; no release is on record"
            )


def clean_commit(root: Path) -> str:
    """The commit of a checkout in which nothing differs from it and nothing stands beside it.

    Raises:
        SiteError: it is no checkout, or something is not committed; files that version control ignores may lie about.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None

    head, status = git("rev-parse", "HEAD"), git("status", "--porcelain", "-z", "--", ".")
    if head is None or status is None:
        raise SiteError("working tree", expected="a checkout with a commit", found="none")
    if names := [item[3:] for item in status.split("\0") if item]:
        raise SiteError(
            "working tree",
            expected="everything committed",
            found=f"{len(names)} changed or new: {', '.join(names[:5])}",
            fix="commit it, or put it aside",
        )
    return head.strip()


def confirmed_run(public: Path, root: Path, out: Path) -> str:
    """The run whose packet lies in a site, verified now in a process of its own.

    Args:
        root: the checkout, whose verb judges.
        out: folder for the verdict.

    Raises:
        PacketError: there is no packet, or its verdict is not `confirmed`.
    """
    packet = public / FOLDER
    if not packet.is_dir():
        raise PacketError("packet of the site", expected="a complete one", found="none", fix="promote a run first")
    (out / "verdict.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "lab", "packet", "verify", str(packet), "--out", str(out)]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    try:
        verdict: dict[str, Any] = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PacketError(
            "packet of the site", expected="a verdict", found=done.stdout.strip()[-200:] or f"exit {done.returncode}"
        ) from None
    if verdict["status"] != "confirmed" or done.returncode:
        failed = [check["what"] for check in verdict["checks"] if not check["passed"]]
        raise PacketError(
            f"packet of {verdict['run']}",
            expected="a verdict `confirmed`",
            found=f"{verdict['status']}: {'; '.join([*failed, *verdict['open_ends']])[:200]}",
            fix=f"read verdict.html in {out.name}",
        )
    return str(verdict["run"])


def outgoing(files: Mapping[str, File], commit: str, run: str) -> Release:
    """A checked tree as it would go out; its bundle manifest stands for every file."""
    listed = {name: (one.n_bytes, one.sha256) for name, one in files.items()}
    return Release(commit=commit, run=run, digest=files[BUNDLE].sha256, files=listed)


def describe(release: Release, former: Release | None, name: str) -> list[str]:
    """What would be published, in lines: how much, which packet, and what changes."""
    total = sum(size for size, _ in release.files.values())
    lines = [
        f"to publish as {name}: {len(release.files):,} files, {show.byte_count(total)} bytes, of commit "
        f"{release.commit[:12]}",
        f"packet of {release.run}, confirmed; archive.zip {release.files[f'{FOLDER}archive.zip'][1]}",
        f"bundle manifest {release.digest}",
        f"against release {former.digest[:12]}:" if former else "no release is on record; all files are new:",
    ]
    for kind, names in release.against(former).items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"  {len(names):,} {kind}" + (f": {', '.join(names[:NAMED])}{more}" if names else ""))
    return lines


def is_confirmation(answer: str, release: Release) -> bool:
    """Does an answer repeat at least the first `CONFIRMED_BY` digits of the bundle's digest?"""
    said = answer.strip().lower()
    return len(said) >= CONFIRMED_BY and release.digest.startswith(said)


def project(root: Path) -> str:
    """The name under which the host knows the site, from `wrangler.jsonc`.

    Raises:
        SiteError: the file names none, or another folder than `public`.
    """
    try:
        text = (root / "wrangler.jsonc").read_text(encoding="utf-8")
        settings = json.loads("\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//")))
        if Path(settings["assets"]["directory"]) != Path("public"):
            raise ValueError(f"the folder {settings['assets']['directory']}")
        return str(settings["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SiteError("wrangler.jsonc", expected="a name, and assets in ./public", found=str(error)) from None


def last(ledgers: Path) -> Release | None:
    """The newest release on record.

    Raises:
        SiteError: the record cannot be read.
    """
    paths = _records(ledgers)
    if not paths:
        return None
    try:
        table = json.loads(paths[-1].read_text(encoding="utf-8"))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in table["files"].items()}
        return Release(commit=table["commit"], run=table["run"], digest=table["bundle_sha256"], files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SiteError(f"releases/{paths[-1].name}", expected="a release on record", found=str(error)[:200]) from None


def remember(release: Release, ledgers: Path) -> Path:
    """Put a release on record, under the number after the last one."""
    paths = _records(ledgers)
    number = int(paths[-1].stem) + 1 if paths else 1
    path = ledgers / "releases" / f"{number:04d}.json"
    table = {
        "schema": SCHEMA,
        "bundle_sha256": release.digest,
        "commit": release.commit,
        "run": release.run,
        "files": {name: list(facts) for name, facts in release.files.items()},
    }
    store.write_once(path, (json.dumps(table, sort_keys=True, separators=(",", ":")) + "\n").encode())
    return path


def _records(ledgers: Path) -> list[Path]:
    paths = (ledgers / "releases").glob("*.json")
    return sorted((path for path in paths if re.fullmatch(r"\d{4,}", path.stem)), key=lambda path: int(path.stem))
