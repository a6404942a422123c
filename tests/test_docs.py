"""Documentation as facts: commands in the README exist, and nothing private stands in a tracked file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# A path below one of these roots tells where somebody works; the two spellings keep this file out of its own net.
PRIVATE_PATH = re.compile(r"(?<![\w.])/(?:ho" r"me|Us" r"ers|ro" r"ot|wo" r"rk|fa" r"rm)/[\w.-]+")
REGISTRY = re.compile(r"(?:pyp" r"i\.org|files\.python" r"hosted\.org|registry\.npm" r"js\.org|deb\.deb" r"ian\.org)")
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".css", ".js", ".html", ".cff", ".csv", ".jsonc", ""}


def tracked() -> list[Path]:
    """Every text file under version control."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and Path(name).suffix in TEXT]


@pytest.mark.parametrize("line", re.findall(r"^    lab (.+)$", README, flags=re.MULTILINE))
def test_every_lab_command_of_the_readme_parses(line: str) -> None:
    assert cli.parser().parse_args(line.split()).call


@pytest.mark.parametrize("name", re.findall(r"^    python -m (\S+)$", README, flags=re.MULTILINE))
def test_every_module_that_the_readme_runs_can_be_run(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", name, "--help"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout


@pytest.mark.parametrize("goal", sorted(set(re.findall(r"(?:`|    )make ([a-z-]+)", README))))
def test_every_make_goal_of_the_readme_exists(goal: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{goal}:.*## ", makefile, flags=re.MULTILINE), goal


def test_make_help_lists_every_goal() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    for goal in ("setup", "site", "serve", "test", "check"):
        assert re.search(rf"^{goal} ", done.stdout, flags=re.MULTILINE)


def test_no_tracked_file_tells_where_somebody_works() -> None:
    for path in tracked():
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for pattern in (PRIVATE_PATH, REGISTRY):
            hit = pattern.search(text)
            allowed = path.relative_to(ROOT).parts[0] == "tests" and path.name != "test_docs.py"
            assert hit is None or allowed, f"{path.relative_to(ROOT)}: {hit.group(0)}"


def test_torch_is_pinned_in_one_place_and_the_project_agrees() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    version = re.search(r"^torch==(\S+)$", pinned, flags=re.MULTILINE)
    assert version
    assert f'"torch=={version.group(1)}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
