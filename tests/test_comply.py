"""Compliance: every published cheat is refused by name, and a packet that lies about itself does not pass."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from paper import a_contract, edit, enter

from lab import archive, cli, comply, custody, packet
from lab.contract import Contract
from lab.ledger import Ledger

# What the contest's own flow hands to an inflate.sh: archive folder, output folder, list of names.
FOREIGN_SH = """#!/usr/bin/env bash
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python3 "$HERE/inflate.py" "$1" "$2" "$3"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture
def built(made: Contract, tmp_path: Path) -> Path:
    """A complete packet."""
    ledger = Ledger(tmp_path / "ledgers")
    own = a_contract(ledger.root)
    return packet.of_run(tmp_path / "packet", enter(ledger, own), own, ledger)


def submission(folder: Path, inflate: str, data: bytes | None = None, **files: bytes) -> Path:
    """A submission in the contest's own layout."""
    folder.mkdir()
    (folder / "archive.zip").write_bytes(archive.write(b"payload") if data is None else data)
    (folder / "inflate.sh").write_text(FOREIGN_SH)
    (folder / "inflate.sh").chmod(0o755)
    (folder / "inflate.py").write_text(inflate)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def broken(folder: Path, contract: Contract | None = None, **options: object) -> set[str]:
    """Rules that a packet breaks."""
    return {check.rule for check in comply.check(folder, contract, **options).failed()}  # type: ignore[arg-type]


NOISE = random.Random(4).randbytes(20_000)
CHEATS: dict[str, tuple[str, dict[str, object]]] = {
    # The shapes of the published precedents; the payloads are noise.
    "the payload pasted into inflate.py": (
        "charge.literal",
        {"inflate": f"import base64\nDATA = base64.b85decode({base64.b85encode(NOISE)!r})\n"},
    ),
    "a megabyte of tuples": (
        "charge.numbers",
        {"inflate": "T = [\n" + "".join(f"    {tuple(NOISE[n : n + 20])},\n" for n in range(0, 20_000, 20)) + "]\n"},
    ),
    "the source read at inflate": (
        "charge.source-read",
        {"inflate": "import av, sys\nfor frame in av.open('videos/0.mkv').decode(video=0):\n    print(frame)\n"},
    ),
    "the source found through the names file": (
        "charge.source-read",
        {"inflate": "import sys\nroot = sys.argv[2] + '/../videos/'\nprint(open(root + open(sys.argv[3]).read()))\n"},
    ),
    "the networks optimised through at inflate": (
        "charge.networks-used",
        {"inflate": "from modules import SegNet, PoseNet, posenet_sd_path\nnet = SegNet()\n"},
    ),
    "the networks' weights loaded at inflate": (
        "charge.networks-used",
        {"inflate": "from safetensors.torch import load_file\nsd = load_file('models/segnet.safetensors')\n"},
    ),
    "an archive of 22 bytes": ("zip.empty", {"inflate": "print(1)\n", "data": b"PK\x05\x06" + bytes(18)}),
    "weights beside the code": ("charge.not-code", {"inflate": "print(1)\n", "model__pt": NOISE}),
    "weights fetched at inflate": (
        "charge.network-access",
        {"inflate": "import urllib.request as r\nr.urlopen('x')\n"},
    ),
}


@pytest.mark.parametrize("cheat", sorted(CHEATS))
def test_every_published_cheat_is_refused_and_the_rule_is_named(
    cheat: str, made: Contract, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule, parts = CHEATS[cheat]
    folder = submission(tmp_path / "cheat", **parts)  # type: ignore[arg-type]
    assert rule in broken(folder, made)
    assert cli.main(["comply", str(folder)]) == 1
    assert rule in capsys.readouterr().out


def test_an_honest_submission_of_another_hand_passes_as_far_as_it_goes(made: Contract, tmp_path: Path) -> None:
    inflate = "import sys, zlib\nfrom pathlib import Path\nfor name in Path(sys.argv[3]).read_text().split():\n"
    inflate += "    payload = (Path(sys.argv[1]) / '0.bin').read_bytes()\n"
    inflate += "    (Path(sys.argv[2]) / name).with_suffix('.raw').write_bytes(zlib.decompress(payload))\n"
    assert not broken(submission(tmp_path / "honest", inflate), made)


def test_a_complete_packet_passes_every_rule(built: Path) -> None:
    contract = a_contract(built.parent / "again")
    found = comply.check(built, contract, contest_final=True, sha256=custody.sha256_file(built / "archive.zip"),
                         n_bytes=(built / "archive.zip").stat().st_size)  # fmt: skip
    assert not found.failed()
    assert len({check.rule for check in found.checks}) >= 30
    assert [check.rule for check in found.failed(strict=True)] == ["final.urls"]


def resealed(folder: Path) -> None:
    """Write the manifest anew, as a liar would."""
    (folder / custody.MANIFEST).unlink()
    custody.seal(folder)


def swap_archive(folder: Path) -> None:
    (folder / "archive.zip").write_bytes(archive.write(b"smaller"))


def raise_score(folder: Path) -> None:
    edit(folder / "evaluation.json", score__total=0.1)


def raise_component(folder: Path) -> None:
    edit(folder / "evaluation.json", evaluation__segnet=0.0)


def fewer_samples(folder: Path) -> None:
    edit(folder / "evaluation.json", evaluation__n_pairs=1)


def larger_source(folder: Path) -> None:
    edit(folder / "evaluation.json", evaluation__source_bytes=80_000)


def another_axis(folder: Path) -> None:
    edit(folder / "evaluation.json", evaluation__axis="mps")


def better_pairs(folder: Path) -> None:
    (folder / "pairs.csv").write_text("pair,segnet,posenet\n0,0.0,0.0\n1,0.0,0.0\n")


def better_report(folder: Path) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text.replace("Final score: ", "Final score: 0.1 = 0.1 or "))


def lying_report(folder: Path) -> None:
    text = (folder / "report.txt").read_text()
    start = text.rindex("= ")
    (folder / "report.txt").write_text(text[:start] + "= 0.100000000000\n")


def nameless_report(folder: Path) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text("\n".join(line for line in text.splitlines() if "sha256" not in line))


def other_size_report(folder: Path) -> None:
    text = (folder / "report.txt").read_text()
    (folder / "report.txt").write_text(text.replace("Submission file size: ", "Submission file size: 1"))


def other_runtime(folder: Path) -> None:
    path = folder / "runtime" / "lab" / "codecs" / "paper" / "decode.py"
    path.write_text(path.read_text() + "# faster\n")


def extra_file(folder: Path) -> None:
    (folder / "notes.bin").write_bytes(b"x")


def cached_code(folder: Path) -> None:
    (folder / "runtime" / "__pycache__").mkdir()
    (folder / "runtime" / "__pycache__" / "inflate.cpython-311.pyc").write_bytes(b"\x00" * 99)


def not_executable(folder: Path) -> None:
    (folder / "inflate.sh").chmod(0o644)


def a_secret(folder: Path) -> None:
    (folder / "README.md").write_text("see /home/" + "somebody/runs and ghp_" + "a1B2" * 9)


def no_grade(folder: Path) -> None:
    edit(folder / "record.json", grade="empirical")


def other_mode(folder: Path) -> None:
    edit(folder / "compliance.json", mode="whatever")


def no_contract_state(folder: Path) -> None:
    edit(folder / "evaluation.json", contract_sha256="ab" * 32)


def hidden_bytes(folder: Path) -> None:
    data = (folder / "archive.zip").read_bytes()
    (folder / "archive.zip").write_bytes(b"x" * 9 + data)


def silent_requirements(folder: Path) -> None:
    (folder / "requirements.txt").write_text("numpy==2.0.0\n")


LIES: list[tuple[Callable[[Path], None], str]] = [
    (swap_archive, "evaluation.digest"),
    (raise_score, "evaluation.total"),
    (raise_component, "evaluation.pairs"),
    (fewer_samples, "evaluation.samples"),
    (larger_source, "evaluation.source-bytes"),
    (another_axis, "evaluation.axis"),
    (better_pairs, "evaluation.pairs"),
    (better_report, "report.total"),
    (lying_report, "report.total"),
    (nameless_report, "report.digest"),
    (other_size_report, "report.size"),
    (other_runtime, "evaluation.runtime"),
    (extra_file, "files.unexpected"),
    (cached_code, "files.unexpected"),
    (not_executable, "files.executable"),
    (a_secret, "scan.public"),
    (no_grade, "final.grade"),
    (other_mode, "charge.mode"),
    (no_contract_state, "evaluation.contract"),
    (hidden_bytes, "evaluation.digest"),
    (silent_requirements, "runtime.requirements"),
]


@pytest.mark.parametrize(("lie", "rule"), LIES, ids=lambda value: getattr(value, "__name__", value))
def test_a_lie_is_seen_even_under_a_fresh_manifest(lie: Callable[[Path], None], rule: str, built: Path) -> None:
    contract = a_contract(built.parent / "again")
    honest = {"sha256": custody.sha256_file(built / "archive.zip"), "n_bytes": (built / "archive.zip").stat().st_size}
    lie(built)
    assert "files.manifest" in broken(built, contract) or lie is not_executable
    resealed(built)
    assert rule in broken(built, contract, contest_final=True, **honest)


@pytest.mark.parametrize("name", sorted({*comply.REQUIRED, *comply.EVIDENCE, *comply.FINAL}))
def test_a_final_packet_without_a_part_is_refused_by_its_name(name: str, built: Path) -> None:
    (built / name).unlink()
    resealed(built)
    missing = [
        item.what for item in comply.check(built, None, contest_final=True).failed() if item.rule == "files.required"
    ]
    assert missing == [name]


def test_what_the_caller_expects_must_come(built: Path) -> None:
    assert {"digest.expected", "size.expected"} <= broken(built, None, sha256="ab" * 32, n_bytes=1)
    assert "final.expected" in broken(built, None, contest_final=True)


def test_a_packet_of_another_state_of_its_contract_is_told_so(built: Path) -> None:
    contract = a_contract(built.parent / "now")
    edit(built / "evaluation.json", contract_sha256="ab" * 32)
    said = [item.what for item in comply.check(built, contract).failed() if item.rule == "evaluation.contract"]
    assert len(said) == 1 and "abababababababab" in said[0] and "has to be judged under that" in said[0]
    edit(built / "evaluation.json", contract="another")
    said = [item.what for item in comply.check(built, contract).failed() if item.rule == "evaluation.contract"]
    assert said == [f"contract {contract.name} in the state {contract.digest[:16]}"]


def test_a_check_that_cannot_be_made_fails(built: Path) -> None:
    """Without a contract nobody can say how many samples there should be."""
    assert "evaluation.contract" in broken(built, None)
    for content in (b"", b"[]", b"[" * 99_999, b'{"evaluation": 3}', b"\xff\xfe"):
        (built / "evaluation.json").write_bytes(content)
        assert "evaluation.present" in broken(built, a_contract(built.parent / f"again{len(content)}{content[:1]!r}"))


def test_links_and_pipes_end_the_check(built: Path) -> None:
    (built / "README.md").unlink()
    (built / "README.md").symlink_to("/etc/hostname")
    assert broken(built) == {"files.tree"}
    (built / "README.md").unlink()
    os.mkfifo(built / "README.md")
    assert broken(built) == {"files.tree"}


def test_the_report_of_a_check_is_plain_data_without_places(built: Path) -> None:
    found = comply.check(built, a_contract(built.parent / "again"))
    text = json.dumps(found.as_dict())
    assert str(built.parent) not in text
    assert built.name not in json.loads(text)
