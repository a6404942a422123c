"""Walls: what an inflating process cannot see, write, reach or outlive, under each strength that this kernel offers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import archive, replay, walls
from lab.errors import PacketError, RawSizeMismatch, ReplayError


def offered(kind: str) -> bool:
    """Does this kernel offer these walls?"""
    return walls.strength() == kind or (kind == "landlock" and walls._landlock_version() >= 1)


@pytest.fixture(params=["namespaces", "landlock"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each strength of walls that stands here."""
    if not offered(request.param):
        pytest.skip(f"this kernel offers no {request.param}")
    return str(request.param)


def a_packet(folder: Path, script: str, members: dict[str, bytes] | None = None) -> Path:
    """A packet whose inflate.sh is this script."""
    folder.mkdir(parents=True)
    (folder / "archive.zip").write_bytes(archive.stored(members or {"0.bin": b"payload"}))
    (folder / "inflate.sh").write_text(script)
    return folder


def inflate(folder: Path, kind: str | None, raw_bytes: int = 2, **options: object) -> replay.Inflation:
    """Inflate within limits that suit a test."""
    settings: dict[str, object] = {"hidden": (), "time_limit_s": 60.0, "strength": kind, **options}
    return replay.inflate(folder, folder.parent / f"work-{kind}", raw_bytes=raw_bytes, **settings)  # type: ignore[arg-type]


def test_an_honest_packet_inflates_inside_every_wall(kind: str, tmp_path: Path) -> None:
    packet = a_packet(tmp_path / "p", 'head -c 2 "$1/0.bin" > "$2/0.raw"; cat "$3" >&2\n')
    seen = inflate(packet, kind)
    assert seen.raw.read_bytes() == b"pa"
    assert seen.walls == walls.names(kind)
    assert "0.mkv" in seen.log


PROBES = {
    "reads a file beside the packet": "cat {secret}",
    "lists a folder beside the packet": "ls {home}",
    "finds a secret anywhere": 'find / -name "secret-*" 2>/dev/null | grep .',
    "writes beside the packet": "touch {home}/x",
    "changes the packet": "echo x > {packet}/inflate.sh",
    "changes the archive": 'touch "$1/x"',
    "writes to the system": "touch /usr/x",
    "reads the users": "cat /etc/passwd",
    "lists the ledger": "ls {ledger}",
    "reaches the network": "timeout 2 bash -c 'echo > /dev/tcp/1.1.1.1/53'",
    "mounts": "mount -t tmpfs none /tmp",
    "takes a wall down": "umount /proc",
    "turns a screw of the kernel": "echo 1 > /proc/sys/vm/drop_caches",
    "steps out of its root": "chroot / true",
    "reads the environment outside": "cat /proc/1/environ /proc/{pid}/environ 2>/dev/null | grep -a SECRET",
    "signals the judge": "kill -0 {pid}",
    "links a secret": 'ln "{secret}" "$2/x"',
    "has the judge's environment": "env | grep SECRET",
}


def test_what_a_process_tries_in_vain(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "SECRET-42")
    home, ledger = tmp_path / "home", tmp_path / "ledger"
    for folder in (home, ledger):
        folder.mkdir()
        (folder / "secret-source.mkv").write_text("secret")
    places = {"secret": home / "secret-source.mkv", "home": home, "packet": tmp_path / "p", "ledger": ledger}
    script = 'printf ok > "$2/0.raw"\n'
    version = walls._landlock_version() if kind == "landlock" else 99
    for name, probe in PROBES.items():
        if (name == "reaches the network" and version < 4) or (name == "signals the judge" and version < 6):
            continue  # walls that this kernel's landlock does not know, and that are not recorded either
        script += f'if ( {probe.format(**places, pid=os.getpid())} ) > /dev/null 2>&1; then echo "escape: {name}"; fi\n'
    packet = a_packet(tmp_path / "p", script)
    seen = inflate(packet, kind, hidden=(ledger,))
    assert "escape" not in seen.log
    assert (packet / "inflate.sh").read_text() == script
    assert sorted(path.name for path in home.iterdir()) == ["secret-source.mkv"]


def test_the_probes_would_find_something_without_walls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kind of script escapes where no wall stands, so the test above can fail."""
    (tmp_path / "secret").write_text("secret")
    probe = f'cat {tmp_path}/secret && touch {tmp_path}/x && echo "escape: it reads and writes"'
    seen = inflate(a_packet(tmp_path / "p", f'{probe}\nprintf ok > "$2/0.raw"\n'), "none")
    assert "escape" in seen.log and (tmp_path / "x").exists()


def test_a_hidden_folder_inside_a_readable_one_is_covered(kind: str, tmp_path: Path) -> None:
    """Where this package is installed among the interpreter's own, contracts and networks would lie in plain sight."""
    library = tmp_path / "library"
    for name in ("torch", "lab"):
        (library / name).mkdir(parents=True)
        (library / name / "x.txt").write_text(name)
    script = (
        f'ls {library} >&2\ncat {library}/lab/x.txt 2>/dev/null && exit 9\ncat {library}/torch/x.txt > "$2/0.raw"\n'
    )
    packet = a_packet(tmp_path / "p", script)
    plan = walls.Plan(
        read=(*walls.interpreter_paths(), str(library), str(packet)),
        write=(str(tmp_path / "out"),),
        hide=(str(library / "lab"),),
        home=str(tmp_path / "home"),
        root=str(tmp_path / "root"),
    )
    for name in ("out", "home", "root"):
        (tmp_path / name).mkdir()
    command = walls.command(plan, ["bash", str(packet / "inflate.sh"), "x", str(tmp_path / "out"), "x"], kind)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "0.raw").read_text() == "torch"


def test_a_packet_around_a_hidden_folder_is_refused(tmp_path: Path) -> None:
    packet = a_packet(tmp_path / "p", "true")
    (packet / "videos").mkdir()
    with pytest.raises(ReplayError, match="neither source nor networks"):
        inflate(packet, None, hidden=(packet / "videos",))


def test_a_process_left_behind_ends_with_its_packet(kind: str, tmp_path: Path) -> None:
    beat = tmp_path / "work-x"
    script = '(while sleep 0.05; do echo x >> "$2/beat"; done) &\nsleep 0.3; rm -f "$2/beat"; printf ok > "$2/0.raw"\n'
    packet = a_packet(tmp_path / "p", script)
    try:
        inflate(packet, kind)
    except ReplayError as error:
        assert "beat" in str(error)
    folder = tmp_path / f"work-{kind}" / "inflated"
    for path in folder.glob("beat"):
        path.unlink()
    time.sleep(0.3)
    assert not (folder / "beat").exists()
    assert not beat.exists()


@pytest.mark.parametrize(
    ("script", "error", "complaint"),
    [
        ("exit 3", ReplayError, "found 3"),
        ("true", ReplayError, r"0\.raw"),
        ('printf x > "$2/0.raw"', RawSizeMismatch, "found 1"),
        ('printf xyz > "$2/0.raw"', RawSizeMismatch, "found 3"),
        ('printf ok > "$2/0.raw"; touch "$2/more"', ReplayError, "more"),
        ('ln -s /dev/zero "$2/0.raw"', ReplayError, r"0\.raw"),
        ('mkdir "$2/0.raw"', ReplayError, r"0\.raw"),
        ('mkfifo "$2/0.raw"', ReplayError, r"0\.raw"),
        ("kill -9 $$", ReplayError, r"exit status 0|0\.raw"),
        ("exit 97", ReplayError, "found 97"),
        ("echo walls: fell >&2; exit 96", ReplayError, "found 96"),
    ],
)
@pytest.mark.parametrize("kind", ["none", None])
def test_what_is_not_exactly_the_raw_file_is_refused(
    script: str, error: type[Exception], complaint: str, kind: str | None, tmp_path: Path
) -> None:
    with pytest.raises(error, match=complaint):
        inflate(a_packet(tmp_path / "p", script + "\n"), kind)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("sleep 60", "within 1 s"),
        ("while :; do :; done", "within 1 s"),
        ("setsid sleep 60 & wait", "within 1 s"),
    ],
)
def test_time_is_bounded(script: str, complaint: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ReplayError, match=complaint):
        inflate(a_packet(tmp_path / "p", script + "\n"), None, time_limit_s=1.0)
    assert time.monotonic() - started < 20


def test_disk_is_bounded_in_many_files_and_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "SLACK_BYTES", 4 << 20)
    many = 'i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > "$2/$i" || exit 1; done\n'
    one = 'head -c 100000000 /dev/zero > "$2/0.raw"\n'
    for number, script in enumerate((many, one)):
        started = time.monotonic()
        with pytest.raises(ReplayError):
            inflate(a_packet(tmp_path / str(number) / "p", script), "none")
        used = sum(path.stat().st_size for path in (tmp_path / str(number)).rglob("*") if path.is_file())
        assert used < 400_000_000
        assert time.monotonic() - started < 30


def test_memory_is_bounded(tmp_path: Path) -> None:
    script = 'python3 -c "bytearray(1 << 30)" 2>/dev/null && exit 9; printf ok > "$2/0.raw"\n'
    packet = a_packet(tmp_path / "p", script)
    assert inflate(packet, "none", memory_limit_bytes=600 << 20).raw.read_bytes() == b"ok"


@pytest.mark.parametrize("name", ["archive.zip", "inflate.sh"])
def test_a_packet_whose_parts_are_links_or_absent_is_refused(name: str, tmp_path: Path) -> None:
    packet = a_packet(tmp_path / "p", "true")
    (packet / name).rename(tmp_path / name)
    with pytest.raises(ReplayError, match=name):
        inflate(packet, "none")
    (packet / name).symlink_to(tmp_path / name)
    with pytest.raises(ReplayError, match=name):
        replay.inflate(packet, tmp_path / "again", raw_bytes=1, hidden=(), time_limit_s=1, strength="none")


def test_an_unsafe_archive_is_not_unpacked(tmp_path: Path) -> None:
    packet = a_packet(tmp_path / "p", "true", {"../../evil": b"x"})
    with pytest.raises(PacketError):
        inflate(packet, "none")
    assert not list(tmp_path.rglob("evil"))


def test_members_in_folders_are_unpacked_where_they_belong(tmp_path: Path) -> None:
    packet = a_packet(tmp_path / "p", 'cat "$1/a/b.bin" > "$2/0.raw"\n', {"a/b.bin": b"ok", "c/": b""})
    assert inflate(packet, "none").raw.read_bytes() == b"ok"


def test_walls_that_do_not_stand_are_no_walls(tmp_path: Path, kind: str) -> None:
    """A plan that cannot be built ends in a refusal, never in a process without its walls."""
    packet = a_packet(tmp_path / "p", 'printf ok > "$2/0.raw"\n')
    plan = walls.Plan(read=(), write=(str(tmp_path / "absent"),), hide=(), home=str(tmp_path / "no"), root="/nowhere")
    done = subprocess.run(
        walls.command(plan, ["bash", str(packet / "inflate.sh")], kind), capture_output=True, text=True, check=False
    )
    assert done.returncode == walls.BROKEN
    assert done.stderr.startswith("walls: ")


def test_a_machine_without_strong_walls_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls.shutil, "which", lambda name: None)
    monkeypatch.setattr(walls, "_landlock_version", lambda: 0)
    assert walls.strength() == "none"
    seen = inflate(a_packet(tmp_path / "p", 'printf ok > "$2/0.raw"\n'), None)
    assert seen.walls == walls.BASIC
    assert "source hidden" not in seen.walls
    monkeypatch.setattr(walls.sys, "platform", "darwin")
    assert walls.strength() == "none"


def test_paths_that_leave_out_a_folder_cover_everything_else(tmp_path: Path) -> None:
    for name in ("a/x", "a/y/z", "b/x", "c"):
        (tmp_path / name).mkdir(parents=True)
    hide = (str(tmp_path / "a" / "y"), str(tmp_path / "c"))
    found = dict(walls.without(str(tmp_path), hide))
    assert found == {
        str(tmp_path): True,
        str(tmp_path / "a"): True,
        str(tmp_path / "a" / "x"): False,
        str(tmp_path / "b"): False,
    }
    assert list(walls.without(str(tmp_path / "c"), hide)) == []


def test_without_user_namespaces_the_next_strength_is_taken() -> None:
    """A kernel that forbids them, as some distributions and containers do: landlock, or an honest `none`."""
    if walls.strength() != "namespaces":
        pytest.skip("this kernel offers no namespaces to begin with")
    code = "from lab import walls; print(walls.strength())"
    script = f'echo 0 > /proc/sys/user/max_user_namespaces && exec {sys.executable} -c "{code}"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "bash", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() in ("landlock", "none"), done.stderr
