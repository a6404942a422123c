"""Packets: made from the ledger alone, the same bytes everywhere, and checkable by a stranger with the README."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paper import NAME, a_contract, a_replay, a_runtime, edit, enter

from lab import cli, comply, custody, documents, packet, runtime
from lab.contract import Contract
from lab.errors import PacketError
from lab.ledger import Ledger, Run

LISTED = {
    "archive.zip",
    "inflate.sh",
    "runtime",
    "report.txt",
    "evaluation.json",
    "anatomy.json",
    "compliance.json",
    "release_manifest.json",
    "manifest-sha256.txt",
    "ro-crate-metadata.json",
    "CITATION.cff",
    "README.md",
}


@pytest.fixture
def made(tmp_path: Path) -> Contract:
    """The paper contract."""
    return a_contract(tmp_path / "ledgers")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The paper ledger."""
    return Ledger(tmp_path / "ledgers")


@pytest.fixture
def run(made: Contract, ledger: Ledger) -> Run:
    """A promoted run."""
    return enter(ledger, made)


@pytest.fixture
def built(tmp_path: Path, run: Run, made: Contract, ledger: Ledger) -> Path:
    """Its packet."""
    return packet.of_run(tmp_path / "packet", run, made, ledger)


def contents(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Bytes of every file and whether it can be run."""
    return {name: (path.read_bytes(), os.access(path, os.X_OK)) for name, path in custody.tree(folder).items()}


def test_a_packet_holds_everything_that_a_judge_asks_for(built: Path) -> None:
    assert {path.name for path in built.iterdir()} >= LISTED
    assert custody.check_seal(built) == len(custody.tree(built)) - 1
    assert os.access(built / "inflate.sh", os.X_OK)


def test_the_same_record_gives_the_same_bytes_under_any_circumstances(
    built: Path, run: Run, made: Contract, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.chdir("/")
    before = os.umask(0o077)
    try:
        again = packet.of_run(tmp_path / "elsewhere" / "another-name", run, made, ledger)
    finally:
        os.umask(before)
    assert contents(again) == contents(built)
    code = (
        "import sys; from pathlib import Path; from lab import contract, packet; from lab.ledger import Ledger\n"
        f"root = Path({str(ledger.root)!r}); made = contract.load('paper', root); ledger = Ledger(root)\n"
        f"packet.of_run(Path({str(tmp_path / 'third')!r}), ledger.get(made, {run.id!r}), made, ledger)\n"
        "assert not {'torch', 'numpy', 'av', 'numba'} & set(sys.modules)\n"
    )
    here = str(Path(packet.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": here, "PATH": "", "PYTHONHASHSEED": "7"}, check=True
    )
    assert contents(tmp_path / "third") == contents(built)


def test_a_stranger_checks_a_packet_with_its_readme_alone(built: Path, tmp_path: Path) -> None:
    """Every block of commands of the README, run as written in a copy that knows nothing of the repository."""
    alone = tmp_path / "alone"
    shutil.copytree(built, alone)
    blocks = re.findall(r"^```sh\n(.*?)^```$", (alone / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=alone, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert contents(alone) == contents(built)
    changes = {
        "a frame": lambda: (alone / "runtime/lab/codecs/paper/decode.py").write_text("def decode(p):\n    return []\n"),
        "a pair": lambda: (alone / "pairs.csv").write_text("pair,segnet,posenet\n0,0,0\n1,0,0\n"),
    }
    for change in changes.values():
        change()
        outcomes = [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], cwd=alone, env=environment, capture_output=True, check=False
            ).returncode
            for block in blocks
        ]
        assert any(outcomes)


def test_a_packet_says_what_its_decoder_needs_beyond_the_usual(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    plain_one = packet.of_run(tmp_path / "plain", enter(ledger, made, "usual", seed=3), made, ledger)
    assert "asks for nothing beyond Python, numpy, numba, torch." in (plain_one / "README.md").read_text()
    needy = a_runtime(extra="import av\nimport torch\n")
    run = enter(ledger, made, "needy", seed=4, tree=needy)
    built = packet.of_run(tmp_path / "needy", run, made, ledger)
    assert "without av it does not start" in (built / "README.md").read_text()
    outcome = {check.rule: check for check in comply.check(built, made).checks}
    assert outcome["runtime.requirements"].passed
    assert not outcome["runtime.usual"].passed and outcome["runtime.usual"].severity == "warning"


def test_a_packet_names_no_place_and_nobody(built: Path, tmp_path: Path) -> None:
    for content, _ in contents(built).values():
        assert str(tmp_path).encode() not in content
        assert str(Path(__file__).parents[1]).encode() not in content
        assert b"tac-lab authors" in content or b"@" not in content or b"@id" in content or content[:2] == b"PK"


def test_the_manifests_say_what_the_record_says(built: Path, run: Run) -> None:
    released = json.loads((built / "release_manifest.json").read_text())
    assert released["frontier"]["score"] == run.total
    assert released["frontier"]["evidence_grade"] == "A"
    assert released["frontier"]["archive_sha256"] == custody.sha256_file(built / "archive.zip")
    assert set(released["public_urls"].values()) == {f"${{{name.upper()}_URL}}" for name in documents.PLACEHOLDERS}
    complied = json.loads((built / "compliance.json").read_text())
    assert complied["passed"] is True
    assert complied["mode"] == "archive_seeded"


def test_the_crate_describes_every_file_by_its_digest(built: Path, run: Run) -> None:
    graph = json.loads((built / "ro-crate-metadata.json").read_text())["@graph"]
    files = {item["@id"]: item for item in graph if item["@type"] == "File"}
    present = set(custody.tree(built)) - {"manifest-sha256.txt", "ro-crate-metadata.json"}
    assert set(files) == present
    for name, item in files.items():
        assert item["sha256"] == custody.sha256_file(built / name)
        assert int(item["contentSize"]) == (built / name).stat().st_size
    root = next(item for item in graph if item["@id"] == "./")
    assert root["datePublished"] == run.data["recorded_at"]
    assert {part["@id"] for part in root["hasPart"]} == present
    assert any(item["@type"] == "CreateAction" for item in graph)


def test_the_citation_has_what_the_format_asks_for(built: Path) -> None:
    lines = (built / "CITATION.cff").read_text().splitlines()
    keys = {line.partition(":")[0] for line in lines if line[0] not in " -"}
    assert {"cff-version", "message", "title", "authors", "type", "date-released", "license", "version"} <= keys
    for line in lines:
        value = line.partition(": ")[2]
        if value.startswith('"'):
            assert isinstance(json.loads(value), str)


def test_requirements_are_the_versions_of_the_record_not_of_this_machine(
    run: Run, made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    tree = a_runtime(extra="import numpy\nimport brotli\n")
    other = enter(ledger, made, "other", tree=tree)
    built = packet.of_run(tmp_path / "packet", other, made, ledger)
    assert (built / "requirements.txt").read_text() == "brotli\nnumpy==2.0.0\n"


def test_a_replay_travels_with_the_packet_and_lifts_its_grade(
    run: Run, made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.add_replay(run, a_replay(run))
    built = packet.of_run(tmp_path / "packet", ledger.get(made, run.id), made, ledger)
    assert (built / "replay.json").is_file()
    assert json.loads((built / "record.json").read_text())["grade"] == "A++"


def test_addresses_stay_placeholders_until_somebody_names_them(
    run: Run, made: Contract, ledger: Ledger, tmp_path: Path
) -> None:
    built = packet.of_run(tmp_path / "p", run, made, ledger, urls={"repository": "https://example.org/x"})
    urls = json.loads((built / "release_manifest.json").read_text())["public_urls"]
    assert urls["repository"] == "https://example.org/x"
    assert urls["site"] == "${SITE_URL}"
    for wrong in ({"repository": "http://x"}, {"other": "https://x"}):
        with pytest.raises(ValueError, match="https"):
            packet.of_run(tmp_path / "q", run, made, ledger, urls=wrong)


def test_a_runtime_that_is_not_kept_must_be_todays(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    """Without the kept tree the packet comes from this checkout, if it is the recorded one; else a commit is named."""
    tree = runtime.of_family("conventional")
    run = enter(ledger, made, tree=tree)
    ledger.runtime(NAME, tree.sha256).unlink()
    edit(ledger.record_path(NAME, run.id), recipe__family="conventional")
    edited = ledger.get(made, run.id)
    assert packet.runtime_of_run(edited, ledger).sha256 == tree.sha256
    other = enter(ledger, made, "other")
    ledger.runtime(NAME, a_runtime().sha256).unlink()
    edit(ledger.record_path(NAME, other.id), recipe__family="conventional")
    with pytest.raises(PacketError, match=r"git worktree add \.\./at-c0c0c0c0c0 c0c0"):
        packet.of_run(tmp_path / "p", ledger.get(made, other.id), made, ledger)
    assert not (tmp_path / "p").exists()


def test_an_archive_that_is_not_kept_is_asked_for(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    run = enter(ledger, made, verdict="rejected")
    with pytest.raises(PacketError, match="--encode"):
        packet.of_run(tmp_path / "p", run, made, ledger)
    data = enter(ledger, made, "twin")  # the same bytes, promoted
    kept = ledger.archive(NAME, data.data["custody"]["archive_sha256"]).read_bytes()
    ledger.archive(NAME, data.data["custody"]["archive_sha256"]).unlink()
    with pytest.raises(PacketError, match="expected the archive"):
        packet.of_run(tmp_path / "p", run, made, ledger, archive_data=kept + b"x", decoder=a_runtime())
    built = packet.of_run(tmp_path / "p", run, made, ledger, archive_data=kept, decoder=a_runtime())
    assert custody.sha256_file(built / "archive.zip") == run.data["custody"]["archive_sha256"]


def test_a_packet_is_complete_or_not_there(run: Run, made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    (ledger.evidence(NAME, run.id) / "pairs.csv").unlink()
    with pytest.raises(PacketError, match=r"evidence/pairs\.csv"):
        packet.of_run(tmp_path / "p", run, made, ledger)
    assert not list(tmp_path.glob("*p*/archive.zip"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(PacketError, match="a new folder"):
        packet.write(tmp_path / "taken", {})


def test_a_contract_that_moved_on_is_refused(run: Run, made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(PacketError, match="as it was measured under"):
        packet.of_run(tmp_path / "p", run, replace(made, time_limit_s=1), ledger)


def test_texts_of_a_record_stay_texts_in_the_papers(made: Contract, ledger: Ledger, tmp_path: Path) -> None:
    """HTML, Markdown, YAML and shell in a recipe's name reach the papers as text."""
    run = enter(ledger, made)
    hostile = 'x/<script>alert(1)</script>|`rm -rf ~`$(id)"\n- evil: true'
    edit(ledger.record_path(NAME, run.id), recipe__name=hostile)
    built = packet.of_run(tmp_path / "p", ledger.get(made, run.id), made, ledger)
    readme = (built / "README.md").read_text()
    assert "<script>" not in readme and "`rm" not in readme and "$(id)" not in readme
    assert "\n- evil" not in (built / "CITATION.cff").read_text()


def test_the_verbs_build_and_check_a_packet(
    run: Run, made: Contract, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--ledgers", str(ledger.root)]
    target = tmp_path / "verb"
    assert cli.main([*base, "packet", "build", run.id, "-o", str(target)]) == 0
    assert "packet verify" in capsys.readouterr().out
    assert cli.main([*base, "comply", str(target)]) == 0
    assert "complies" in capsys.readouterr().out
    assert cli.main([*base, "comply", str(target), "--contest-final", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]
    assert cli.main([*base, "comply", str(target), "--contest-final", "--strict"]) == 1
    assert "final.urls" in capsys.readouterr().out
    urls = [item for name in documents.PLACEHOLDERS for item in ("--url", f"{name}=https://example.org/{name}")]
    assert cli.main([*base, "packet", "build", run.id, "-o", str(tmp_path / "final"), *urls]) == 0
    assert cli.main([*base, "comply", str(tmp_path / "final"), "--contest-final", "--strict"]) == 0


def test_a_packet_that_was_never_measured_complies_as_far_as_it_goes(tmp_path: Path) -> None:
    built = packet.build(tmp_path / "bare", b"payload", a_runtime(), title="a <title>")
    found = comply.check(built)
    assert not found.failed()
    assert [check.rule for check in found.failed(strict=True)] == ["evaluation.present"]
    assert "<title>" not in (built / "README.md").read_text()
