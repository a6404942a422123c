"""Pages per second beside Pelican and MkDocs on the same content, and how a build grows: `make bench-site`.

    python tests/benchmarks/bench_site.py [--json FILE] [--runs N] [--turns N] [--sizes N ...]

The content is a generated ledger: every value is made up, every record has the fields of a real one. The two others get
each record as one page of Markdown, its facts as text and tables, without the figures, data files, checks of links and
leak gate that our build has besides; what they offer beyond pages (feeds, search, a menu of all pages) is switched off.
Each builder runs in a process of its own from an empty cache, in turns; they are installed into an environment that is
thrown away. Processor time, of all processes of a builder together, hardly moves when others use the machine, wall
time does.

Then ledgers of several lengths are built, and built again with one record more. Peak memory is that of the largest
process. A length beyond the defaults has to be asked for: what a host would refuse is rendered before it is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "site"))
import bulk

from lab import archive, contract, custody
from lab.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("pelican", "mkdocs")
RUNS, TURNS, SIZES = 1_000, 3, (100, 1_000, 10_000)
BAR, BAR_RUNS, BAR_SECONDS, BAR_REBUILD_S, BAR_FILES, BAR_MEMORY = 5.0, 10_000, 10.0, 1.0, 20_000, 1_000_000_000
_BUILD = "import sys, pathlib, build; build.CACHE = pathlib.Path(sys.argv.pop(1)); sys.exit(build.main())"
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


def spent(command: Sequence[str], cwd: Path) -> dict[str, Any]:
    """Wall and processor seconds of a command with its processes, memory of the largest, status and last line."""
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdout=said, stderr=subprocess.STDOUT, env=quiet())
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().strip().splitlines()
    return {
        "seconds": round(seconds, 3),
        "core_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": process.returncode,
        "last": lines[-1] if lines else "",
    }


def quiet() -> dict[str, str]:
    """This environment, with our package on the path and one thread per library."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ours(ledgers: Path, out: Path, cache: Path) -> dict[str, Any]:
    """One build of ours."""
    return spent([sys.executable, "-c", _BUILD, str(cache), "--ledgers", str(ledgers), "--out", str(out)], ROOT)


def install(place: Path) -> tuple[Path, dict[str, str]]:
    """(folder of programs, versions) of the two others in an environment of their own."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *OTHERS], check=True, stderr=subprocess.DEVNULL)
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True
    )
    versions = {item["name"].lower(): item["version"] for item in json.loads(listed.stdout)}
    return place / "bin", {name: versions[name] for name in (*OTHERS, "markdown", "jinja2")}


def beside(place: Path, n_runs: int, turns: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Pages per second of the three builders, medians over turns, and the versions of the others."""
    programs, versions = install(place / "others")
    made = bulk.make(place / "same", n_runs)
    n_pages = {name: write_pages(made.ledgers, place / name / "docs") for name in OTHERS}
    (place / "pelican" / "conf.py").write_text(_PELICAN, encoding="utf-8")
    (place / "mkdocs" / "mkdocs.yml").write_text(_MKDOCS.format(docs="docs"), encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("lab", *OTHERS)}
    for turn in range(turns):
        out = place / f"out-{turn}"
        pelican = [str(programs / "pelican"), "docs", "-s", "conf.py", "-o", str(out / "pelican"), "--quiet"]
        mkdocs = [str(programs / "mkdocs"), "build", "--quiet", "--site-dir", str(out / "mkdocs")]
        found["lab"].append(ours(made.ledgers, out / "lab", out / "cache"))
        found["pelican"].append(spent(pelican, place / "pelican"))
        found["mkdocs"].append(spent(mkdocs, place / "mkdocs"))
        for name in found:
            if found[name][-1]["status"]:
                raise SystemExit(f"{name} failed: {found[name][-1]['last']}")
            written = len(list((out / name).rglob("*.html")))
            if name in OTHERS and written < n_pages[name]:
                raise SystemExit(f"{name} wrote {written} pages of {n_pages[name]}")
            n_pages[name] = written
        shutil.rmtree(out)
    rows = []
    for name, taken in found.items():
        seconds, core_s = (statistics.median(one[key] for one in taken) for key in ("seconds", "core_s"))
        rows.append(
            {
                "builder": name,
                "pages": n_pages[name],
                "seconds": round(seconds, 3),
                "core_s": round(core_s, 3),
                "pages_per_s": round(n_pages[name] / seconds, 1),
                "pages_per_core_s": round(n_pages[name] / core_s, 1),
            }
        )
    return rows, versions


def growth(place: Path, n_runs: int) -> dict[str, Any]:
    """A ledger of a length, built from nothing, then again with one record more; or the line that refuses it."""
    made = bulk.make(place / str(n_runs), n_runs)
    out, cache = place / f"public-{n_runs}", place / f"cache-{n_runs}"
    first = ours(made.ledgers, out, cache)
    row: dict[str, Any] = {"runs": n_runs}
    row |= {name: first[name] for name in ("seconds", "core_s", "peak_bytes")}
    if first["status"]:
        row["refused"] = first["last"]
    else:
        files = [path for path in out.rglob("*") if path.is_file()]
        row["files"], row["bytes"] = len(files), sum(path.stat().st_size for path in files)
        row["pages"] = sum(path.suffix == ".html" for path in files)
        add_one(made.ledgers, n_runs)
        again = ours(made.ledgers, out, cache)
        if again["status"]:
            raise SystemExit(f"building again failed: {again['last']}")
        row |= {f"again_{name}": again[name] for name in ("seconds", "core_s")}
    for folder in (place / str(n_runs), out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    return row


def add_one(ledgers: Path, n_runs: int) -> None:
    """One more rejected run at the end of a generated ledger."""
    store, name = Ledger(ledgers), next(ledgers.glob("*/contract.toml")).parent.name
    made = contract.load(name, ledgers)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in store.record_paths(made)]
    chain = [one["id"] for one in sorted(records, key=lambda one: one["recorded_at"]) if one["verdict"] == "promoted"]
    index = n_runs + (n_runs % bulk.KEPT_EVERY == 0)
    payload = archive.write(random.Random(0).randbytes(400))
    bulk.add(store, made, index, chain, random.Random(index), payload, {})


def main() -> None:
    """Print the rows; write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, versions = beside(Path(folder), options.runs, options.turns)
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        curve = []
        for size in options.sizes:
            curve.append(growth(Path(folder), size))
            print("  ".join(f"{name} {value}" for name, value in curve[-1].items()), flush=True)
    mine, *theirs = rows
    faster = max(theirs, key=lambda row: row["pages_per_s"])
    ratio = {key: round(mine[key] / faster[key], 2) for key in ("pages_per_s", "pages_per_core_s")}
    long = next((row for row in curve if row["runs"] == BAR_RUNS), None)
    bars = {"times the faster of the two": _bar(BAR, ratio["pages_per_s"], ratio["pages_per_s"] >= BAR)}
    if long and "refused" not in long:
        bars |= {
            f"seconds for {BAR_RUNS:,} runs": _bar(BAR_SECONDS, long["seconds"], long["seconds"] <= BAR_SECONDS),
            f"files of {BAR_RUNS:,} runs": _bar(BAR_FILES, long["files"], long["files"] < BAR_FILES),
            f"peak memory of {BAR_RUNS:,} runs": _bar(BAR_MEMORY, long["peak_bytes"], long["peak_bytes"] < BAR_MEMORY),
        }
    table = {
        "schema": "lab.benchmark/1",
        "name": "site",
        "command": "make bench-site",
        "bars": bars,
        "rows": rows,
        "faster": {"builder": faster["builder"], **ratio},
        "growth": curve,
        "machine": custody.machine(),
        "versions": custody.versions(("jinja2", "markupsafe", "hyperscan")) | versions,
        "settings": {"runs": options.runs, "turns": options.turns},
    }
    print(json.dumps(bars))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _bar(bar: float, found: float, reached: bool) -> dict[str, Any]:
    return {"bar": bar, "found": found, "reached": reached}


if __name__ == "__main__":
    main()
