"""The judge: a packet is confirmed by what it does, refuted by what it does otherwise, and cannot hurt its judge."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import toy_contract
from paper import DECODE, a_contract, enter

from lab import archive, cli, contract, custody, experiment, judge, packet, recipe, walls
from lab.errors import PacketError
from lab.experiment import Bench
from lab.judge import Court
from lab.ledger import Ledger
from lab.verdict import Verdict

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """
family = "conventional"
question = "does a judge agree?"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = 20
preset = "8"
gop = 6
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a paper run and a real run of six frames, and a packet of each."""
    root = tmp_path_factory.mktemp("house")
    ledger, made = Ledger(root / "ledgers"), a_contract(root / "ledgers")
    packet.of_run(root / "paper", enter(ledger, made), made, ledger)
    toy = toy_contract(root / "ledgers")
    bench = Bench(ledgers=ledger.root, cache=root / "cache", work=root / "work", root=ROOT)
    run, _ = experiment.run(recipe.parse(RECIPE, "conventional/toy"), toy, bench)
    packet.of_run(root / "real", run, toy, ledger)
    return root


@pytest.fixture
def court(house: Path) -> Court:
    """The judge's own contracts and caches."""
    return Court(ledgers=house / "ledgers", cache=house / "cache")


def copied(house: Path, name: str, tmp_path: Path) -> Path:
    """A packet of one's own to spoil."""
    return Path(shutil.copytree(house / name, tmp_path / "packet"))


def failed(verdict: Verdict) -> set[str]:
    """Rules that did not hold."""
    return {check.rule for check in verdict.checks if not check.passed}


def test_a_real_packet_is_confirmed_recorded_and_lifted(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(house / "cache"))
    alone, out = copied(house, "real", tmp_path), tmp_path / "out"
    base = ["--ledgers", str(house / "ledgers")]
    assert cli.main([*base, "packet", "verify", str(alone), "-o", str(out), "--record"]) == 0
    assert "confirmed" in capsys.readouterr().out
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["status"] == "confirmed"
    figures = verdict["figures"]
    assert figures["total"]["recorded"] == pytest.approx(figures["total"]["found"], abs=1e-9)
    assert figures["raw_sha256"]["recorded"] == figures["raw_sha256"]["found"]
    assert verdict["walls"] == list(walls.names(walls.strength()))
    assert custody.check_seal(alone)
    page = (out / "verdict.html").read_text()
    assert "confirmed" in page and "<script" not in page
    ledger = Ledger(house / "ledgers")
    run = ledger.runs(contract.load("toy", ledger.root))[0]
    assert len(json.loads((ledger.evidence("toy", run.id) / "replay.json").read_text())["replays"]) == 1
    strong = walls.strength() != "none" and run.data["custody"]["dirty"] is False
    assert run.grade == ("A++" if strong else "A")


def test_what_cannot_be_measured_is_named_not_assumed(house: Path, tmp_path: Path) -> None:
    """A judge without the contract's files inflates and compares, and says what is left open."""
    elsewhere = Court(ledgers=tmp_path / "none", cache=tmp_path / "cache")
    verdict = judge.verify(copied(house, "paper", tmp_path), elsewhere)
    assert verdict.status == "unfinished"
    assert "replay.raw-digest" not in failed(verdict)
    assert any("components not measured again" in item for item in verdict.open_ends)
    assert verdict.replay is None
    with pytest.raises(PacketError):
        judge.remember(verdict, tmp_path / "none")


def rewrite(folder: Path, text: str) -> None:
    """Another decoder, under a fresh manifest and a record that names it: a liar with time."""
    (folder / "runtime" / "lab" / "codecs" / "paper" / "decode.py").write_text(text)
    tree = {name.removeprefix("runtime/"): path.read_bytes() for name, path in custody.tree(folder).items()
            if name.startswith("runtime/")}  # fmt: skip
    digest = custody.sha256_tree([*tree.items(), ("inflate.sh", (folder / "inflate.sh").read_bytes())])
    for name in ("evaluation.json", "record.json"):
        data = json.loads((folder / name).read_text())
        data["custody"]["runtime_sha256"] = digest
        (folder / name).write_text(json.dumps(data))
    custody.seal(folder)


def other_frames(folder: Path) -> None:
    rewrite(folder, DECODE.replace("memoryview(plain)[at", "memoryview(plain[::-1])[at"))


def fewer_frames(folder: Path) -> None:
    rewrite(folder, DECODE.replace("range(0, len", "range(PAIR_BYTES, len"))


def random_frames(folder: Path) -> None:
    rewrite(folder, DECODE.replace("plain = zlib", "import os\n    plain = os.urandom(len(zlib").replace(
        "(payload)\n", "(payload)))\n", 1))  # fmt: skip


def crashes(folder: Path) -> None:
    rewrite(folder, "raise SystemExit(3)\n")


def reads_its_papers(folder: Path) -> None:
    rewrite(folder, DECODE.replace("plain =", "open('" + str(folder / "evaluation.json") + "')\n    plain ="))


def loses_its_manifest(folder: Path) -> None:
    (folder / custody.MANIFEST).unlink()


def loses_its_archive(folder: Path) -> None:
    (folder / "archive.zip").unlink()
    custody.seal(folder)


def another_archive(folder: Path) -> None:
    (folder / "archive.zip").write_bytes(archive.write(b"not deflated"))
    custody.seal(folder)


def an_unsafe_archive(folder: Path) -> None:
    (folder / "archive.zip").write_bytes(archive.stored({"../../evil": b"x"}))
    custody.seal(folder)


SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (other_frames, "replay.raw-digest"),
    (fewer_frames, "replay.inflates"),
    (random_frames, "replay.repeats"),
    (crashes, "replay.inflates"),
    (reads_its_papers, "replay.inflates"),
    (loses_its_manifest, "files.manifest"),
    (loses_its_archive, "files.required"),
    (another_archive, "replay.inflates"),
    (an_unsafe_archive, "zip.safe"),
]


@pytest.mark.parametrize(("spoil", "rule"), SPOILED, ids=lambda value: getattr(value, "__name__", value))
def test_a_packet_that_does_otherwise_is_refuted(
    spoil: Callable[[Path], None], rule: str, house: Path, court: Court, tmp_path: Path
) -> None:
    folder = copied(house, "paper", tmp_path)
    spoil(folder)
    verdict = judge.verify(folder, court)
    assert verdict.status == "refuted"
    assert rule in failed(verdict)
    assert not list(tmp_path.rglob("evil"))


def test_a_packet_of_the_wrong_contract_is_refuted(house: Path, court: Court, tmp_path: Path) -> None:
    verdict = judge.verify(copied(house, "paper", tmp_path), court, name="toy")
    assert {"evaluation.contract", "replay.inflates"} & failed(verdict)
    assert verdict.status == "refuted"


def test_a_submission_of_another_hand_is_judged_by_what_it_does(house: Path, court: Court, tmp_path: Path) -> None:
    """The contest's own layout: no manifest, no claims; it inflates twice alike, and what it lacks is named."""
    folder, paper = tmp_path / "theirs", house / "paper"
    folder.mkdir()
    shutil.copy(paper / "archive.zip", folder)
    (folder / "inflate.sh").write_text('set -e\npython3 "$(dirname "$0")/inflate.py" "$1/0.bin" "$2/0.raw"\n')
    (folder / "inflate.sh").chmod(0o755)
    code = "import sys, zlib\nopen(sys.argv[2], 'wb').write(zlib.decompress(open(sys.argv[1], 'rb').read()))\n"
    (folder / "inflate.py").write_text(code)
    verdict = judge.verify(folder, court, name="paper")
    assert verdict.figures["raw_sha256"][1] == json.loads((paper / "record.json").read_text())["custody"]["raw_sha256"]
    assert "the packet claims no raw_sha256" in verdict.open_ends
    assert "replay.repeats" not in failed(verdict)
    (folder / "inflate.py").write_text(code + "open(sys.argv[2], 'ab').write(b'x')\n")
    assert "replay.inflates" in failed(judge.verify(folder, court, name="paper"))


def test_a_verdict_shows_hostile_texts_as_texts(house: Path, court: Court, tmp_path: Path) -> None:
    folder = copied(house, "paper", tmp_path)
    data = json.loads((folder / "evaluation.json").read_text())
    data["contract"] = "<script>alert(1)</script>"
    data["evaluation"]["axis"] = "<img src=x onerror=alert(2)>"
    (folder / "evaluation.json").write_text(json.dumps(data))
    page = judge.verify(folder, court, name="paper").as_html()
    assert "<script>" not in page and "<img" not in page
    page = judge.verify(folder, court).as_html()
    assert "<script>" not in page


def test_the_verb_refuses_what_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["packet", "verify"], ["comply"]):
        assert cli.main([*verb, str(tmp_path / "absent")]) == 1
        assert "expected a folder" in capsys.readouterr().err


PROMOTED = sorted({path.parent.parent.name for path in (ROOT / "ledgers").glob("*/runs/*.json")})


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMOTED)
def test_the_best_packet_of_every_family_on_record_is_confirmed(name: str, tmp_path: Path) -> None:
    """The repository's own ledger: a packet of the best promoted run of each family, judged as a stranger would."""
    ledger, made = Ledger(ROOT / "ledgers"), contract.load(name, ROOT / "ledgers")
    best: dict[str, Any] = {}
    for run in sorted(ledger.runs(made), key=lambda run: run.total, reverse=True):
        if run.verdict == "promoted" and run.axis == "cpu" and run.data["contract_sha256"] == made.digest:
            best[run.family] = run
    for family, run in sorted(best.items()):
        folder = packet.of_run(tmp_path / family, run, made, ledger)
        verdict = judge.verify(folder, Court(ledgers=ledger.root, cache=tmp_path / "cache"))
        assert verdict.status == "confirmed", f"{run.id}: {verdict.as_json()}"


# ---- mutated packets ----


ODD_FILES: tuple[Callable[[Path], None], ...] = (lambda path: path.symlink_to("/etc/hostname"), Path.mkdir, os.mkfifo)


def mutate(folder: Path, chance: random.Random) -> None:
    """One to three random injuries to the files of a packet; half of the time under a fresh manifest."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        path = chance.choice(files)
        data = bytearray(path.read_bytes())
        kind = chance.randrange(10)
        if kind == 0:
            path.unlink()
        elif kind == 1:
            path.write_bytes(data[: chance.randrange(len(data) + 1)])
        elif kind in (2, 3, 4) and data:
            for _ in range(chance.choice((1, 3, 20))):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
        elif kind == 5:
            other = chance.choice(files)
            path.write_bytes(other.read_bytes())
        elif kind == 6:
            path.write_bytes(data + chance.randbytes(chance.randrange(200)))
        elif kind == 7:
            path.unlink()
            chance.choice(ODD_FILES)(path)
        elif kind == 8:
            numbers = [b"0", b"-1", b"1e999", b"NaN", b"99999999999999999999", b'"x"', b"[]", b"null"]
            text = bytes(data)
            for digit in (b"2", b"1.0", b"0.0"):
                if digit in text:
                    path.write_bytes(text.replace(digit, chance.choice(numbers), 1))
        else:
            path.rename(path.with_name(chance.choice(("x", "é", "a b", path.name.upper() + "x"))))
        if not any(item.is_file() and not item.is_symlink() for item in folder.rglob("*")):
            return
    if chance.random() < 0.5:
        try:
            custody.seal(folder)
        except Exception:
            return


def fuzz(house: Path, court: Court, tmp_path: Path, count: int, seed: int) -> dict[str, int]:
    """Judge mutated packets; nothing may crash, hang, or touch anything but the scratch folders."""
    chance = random.Random(seed)
    outcomes: dict[str, int] = {}
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "file").write_text("as it was")
    kind = walls.strength() if seed % 2 else "none"
    for number in range(count):
        folder = watched / f"packet-{number}"
        shutil.copytree(house / "paper", folder)
        mutate(folder, chance)
        started = time.monotonic()
        verdict = judge.verify(folder, court, strength=kind)
        assert time.monotonic() - started < 60
        assert verdict.as_html() and json.loads(verdict.as_json())
        outcomes[verdict.status] = outcomes.get(verdict.status, 0) + 1
        shutil.rmtree(folder)
        assert [path.name for path in watched.iterdir()] == ["file"]
    assert (watched / "file").read_text() == "as it was"
    return outcomes


def test_mutated_packets_do_no_harm(house: Path, court: Court, tmp_path: Path) -> None:
    outcomes = fuzz(house, court, tmp_path, 40, seed=1)
    assert outcomes["refuted"] > 35


def test_mutated_packets_do_no_harm_where_no_wall_stands(house: Path, court: Court, tmp_path: Path) -> None:
    assert fuzz(house, court, tmp_path, 160, seed=2)["refuted"] > 140


@pytest.mark.slow
def test_five_thousand_mutated_packets_do_no_harm(house: Path, court: Court, tmp_path: Path) -> None:
    outcomes = fuzz(house, court, tmp_path, 5000, seed=3)
    assert outcomes["refuted"] > 4500
