"""Three builders of sites on the same generated ledger: ours, Pelican and MkDocs, each in a process of its own.

The two others get each record as one page of Markdown, its facts as text and tables, without the figures, data files,
checks of links and leak gate that our build has besides; what they offer beyond pages (feeds, search, a menu of all
pages) is switched off.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "site"))
import bulk
from watched import spent

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("pelican", "mkdocs")
LIMIT_S = 120.0
BUILD = "import sys, pathlib, build; build.CACHE = pathlib.Path(sys.argv.pop(1)); build.run()"
_PELICAN = """
SITENAME = "Ledger"
PATH = "."
PAGE_PATHS = [""]
ARTICLE_PATHS = []
PAGE_URL = "{slug}/"
PAGE_SAVE_AS = "{slug}/index.html"
DIRECT_TEMPLATES = []
DISPLAY_PAGES_ON_MENU = False
FEED_ALL_ATOM = CATEGORY_FEED_ATOM = TRANSLATION_FEED_ATOM = AUTHOR_FEED_ATOM = AUTHOR_FEED_RSS = None
CACHE_CONTENT = LOAD_CONTENT_CACHE = False
TIMEZONE = "UTC"
"""
_MKDOCS = """
site_name: Ledger
docs_dir: {docs}
plugins: []
nav: [index.md]
markdown_extensions: [meta, tables]
"""


def page(record: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    """A record as Markdown: what its page on our site says in words and tables."""
    asked, measured, kept = record["recipe"], record["evaluation"], record["custody"]
    near = [known[name] for name in record["parents"]] + [record]
    scored = record["score"]
    shown = {name: value for name, value in kept.items() if isinstance(value, (str, int))}
    return "\n".join(
        (
            f"Title: {asked['name'].rpartition('/')[2]}",
            f"Date: {record['recorded_at'][:10]}",
            f"Slug: {record['id']}",
            "",
            f"{asked['question']}",
            "",
            f"**{record['verdict']}**, grade {record['grade']}, family {asked['family']}, axis {measured['axis']}. "
            f"Changed one axis, **{asked['changed']}**. {record['verdict_reason']}.",
            "",
            "## What came out",
            "",
            "| term | component | in the score |",
            "|---|---|---|",
            f"| SegNet | {measured['segnet']} | {scored['segnet_term']:.6f} |",
            f"| PoseNet | {measured['posenet']} | {scored['posenet_term']:.6f} |",
            f"| rate | {measured['archive_bytes']:,} / {measured['source_bytes']:,} | {scored['rate_term']:.6f} |",
            f"| score | | {scored['total']:.6f} |",
            "",
            "## Parent and this run",
            "",
            "| run | changed axis | score | bytes | verdict |",
            "|---|---|---|---|---|",
            *(
                f"| [{one['id']}](../{one['id']}/) | {one['recipe']['changed']} | {one['score']['total']:.6f} "
                f"| {one['evaluation']['archive_bytes']:,} | {one['verdict']} |"
                for one in near
            ),
            "",
            "## Custody",
            "",
            "| what | value |",
            "|---|---|",
            *(f"| {name} | `{value}` |" for name, value in shown.items()),
            "",
            "## Recipe",
            "",
            "| parameter | this run |",
            "|---|---|",
            *(f"| {name} | `{value}` |" for name, value in asked["params"].items()),
            "",
        )
    )


def write_pages(ledgers: Path, folder: Path) -> int:
    """Every record of a ledger as a Markdown file, and a list of them all; how many files that is."""
    folder.mkdir(parents=True)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(ledgers.glob("*/runs/*.json"))]
    known = {record["id"]: record for record in records}
    for record in records:
        (folder / f"{record['id']}.md").write_text(page(record, known), encoding="utf-8")
    listed = "".join(f"* [{record['id']}]({record['id']}/): {record['score']['total']:.6f}\n" for record in records)
    (folder / "index.md").write_text(f"Title: Runs\nDate: 2026-01-01\nSlug: all\n\n{listed}", encoding="utf-8")
    return len(records) + 1


def quiet() -> dict[str, str]:
    """This environment, with our package on the path and one thread per library."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ours(ledgers: Path, out: Path, cache: Path) -> dict[str, Any]:
    """One build of ours."""
    command = [sys.executable, "-c", BUILD, str(cache), "--ledgers", str(ledgers), "--out", str(out)]
    return spent(command, ROOT, quiet())


def install(place: Path) -> Path:
    """The folder of programs of an environment with the two others; it is empty where they could not be had."""
    with suppress(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *OTHERS]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return place / "bin"


def versions_of(programs: Path) -> dict[str, str]:
    """Versions of the others and of what they stand on; empty where there are none."""
    if not any((programs / name).is_file() for name in OTHERS):
        return {}
    command = [str(programs / "python"), "-m", "pip", "list", "--format=json"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {item["name"].lower(): item["version"] for item in json.loads(listed)}
    return {name: found[name] for name in (*OTHERS, "markdown", "jinja2") if name in found}


def beside(place: Path, programs: Path, n_runs: int, turns: int) -> list[dict[str, Any]]:
    """The three builders on one ledger, medians over turns; of one that was not timed, why."""
    made = bulk.make(place / f"same-{n_runs}", n_runs)
    docs, taken = place / f"docs-{n_runs}", {name: list[dict[str, Any]]() for name in ("lab", *OTHERS)}
    n_pages = {name: write_pages(made.ledgers, docs / name / "docs") for name in OTHERS}
    (docs / "pelican" / "conf.py").write_text(_PELICAN, encoding="utf-8")
    (docs / "mkdocs" / "mkdocs.yml").write_text(_MKDOCS.format(docs="docs"), encoding="utf-8")
    stopped = {name: "not installed" for name in OTHERS if not (programs / name).is_file()}
    for turn in range(turns):
        out = place / f"out-{n_runs}-{turn}"
        ways = {
            "pelican": ["docs", "-s", "conf.py", "-o", str(out / "pelican"), "--quiet"],
            "mkdocs": ["build", "--quiet", "--site-dir", str(out / "mkdocs")],
        }
        for name in [name for name in taken if name not in stopped]:
            if name == "lab":
                one = ours(made.ledgers, out / name, out / "cache")
            else:
                one = spent([str(programs / name), *ways[name]], docs / name, quiet(), LIMIT_S)
            if one["stopped"]:
                stopped[name] = f"ended after {LIMIT_S:.0f} s"
                continue
            if one["status"]:
                raise SystemExit(f"{name} failed: {one['last']}")
            written = len(list((out / name).rglob("*.html")))
            if name in OTHERS and written < n_pages[name]:
                raise SystemExit(f"{name} wrote {written} pages of {n_pages[name]}")
            n_pages[name] = written
            taken[name].append(one)
    return [
        {"runs": n_runs, "builder": name, "stopped": stopped[name]}
        if name in stopped
        else {"runs": n_runs, "builder": name, "turns": turns, **_medians(taken[name], n_pages[name])}
        for name in taken
    ]


def _medians(taken: list[dict[str, Any]], pages: int) -> dict[str, Any]:
    seconds, core_s = (statistics.median(one[key] for one in taken) for key in ("seconds", "core_s"))
    return {
        "pages": pages,
        "seconds": round(seconds, 3),
        "core_s": round(core_s, 3),
        "pages_per_s": round(pages / seconds, 1),
        "pages_per_core_s": round(pages / core_s, 1),
    }
