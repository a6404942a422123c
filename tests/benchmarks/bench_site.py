"""Pages per second beside Pelican and MkDocs, how a build grows, how fast a ledger page sorts: `make bench-site`.

    python tests/benchmarks/bench_site.py [--json FILE] [--beside N ...] [--turns N] [--sizes N ...] [--sorted N]

Any part may be left out: `--beside` or `--sizes` without numbers, `--sorted 0`; it stays in the file as it was measured
before on a machine like this one. The content is a generated ledger:
every value is made up, every record has the fields of a real one. The builders (`builders`) start from an empty cache,
in turns; the two others are installed into an environment that is thrown away, unless `--others` names one. A builder
that needs more than two minutes is ended, and one that is not installed is left out; the file says so. Code is compiled
beforehand, Python's and that of our templates; of the ledger, nothing is known. Processor time, of all processes of a
builder together, moves less than wall time when others use the machine; beside the size of a ledger stands how long a
loop in Python took before each build, a hint at the hour and no more: it lasts too briefly to stand for a build.

Then ledgers of several lengths are built from nothing, the median of several turns, again with one record more, and
then with another one and another one in a builder that stays (`staying`). Nothing is removed before the end: ext4
passes by every inode that was given back within the last minutes, and creates files at a tenth of its speed meanwhile.
Last, the page of a long ledger is sorted in a headless Chromium, by every column up and down: milliseconds from the
click until the new rows are laid out.
"""

from __future__ import annotations

import argparse
import compileall
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "site"))
import bulk
import staying
from builders import LIMIT_S, OTHERS, ROOT, beside, install, ours, versions_of

from lab import archive, contract, custody
from lab.ledger import Ledger
from lab.site import host

BESIDE, TURNS, SIZES, BUILDS, SORTED = (400, 10_000), 3, (100, 1_000, 10_000, 100_000), 5, 10_000
MANY = 10_000  # runs above which a ledger is built once, not in turns
LOOP = 8_000_000
BAR, BAR_RUNS, BAR_SECONDS, BAR_REBUILD_S, BAR_FILES, BAR_MEMORY = 5.0, 10_000, 10.0, 1.0, 20_000, 1_000_000_000
BAR_SORT_MS, BAR_NODES = 100.0, 2_000
_SORT = """async (column) => {
  const button = document.querySelectorAll('table.ledger th button.sort')[column];
  const before = performance.getEntriesByName('sort').length, at = performance.now();
  button.click();
  for (let turn = 0; performance.getEntriesByName('sort').length === before; turn++) {
    await (turn < 100 ? null : new Promise((again) => setTimeout(again))); // where rows are to be loaded first
  }
  document.body.getBoundingClientRect();
  return performance.now() - at;
}"""


def growth(place: Path, n_runs: int) -> dict[str, Any]:
    """A ledger of a length, built from nothing, again with one record more in a new process, then in one that stays.

    Where the first build is refused, the line that refuses it.
    """
    made, turns, loops = bulk.make(place / str(n_runs), n_runs), [], []
    for turn in range(BUILDS if n_runs <= MANY else 1):
        out, cache = (place / f"{what}-{n_runs}-{turn}" for what in ("public", "cache"))
        loops.append(loop())
        turns.append(ours(made.ledgers, out, cache))
    row: dict[str, Any] = {"runs": n_runs, "turns": len(turns), "loop_s": round(statistics.median(loops), 3)}
    row |= {name: statistics.median(one[name] for one in turns) for name in ("seconds", "core_s", "peak_bytes")}
    row |= {"least_s": min(one["seconds"] for one in turns), "most_s": max(one["seconds"] for one in turns)}
    if turns[-1]["status"]:
        row["refused"] = turns[-1]["last"]
    else:
        files = [path for path in out.rglob("*") if path.is_file()]
        row["files"], row["bytes"] = len(files), sum(path.stat().st_size for path in files)
        row["pages"] = sum(path.suffix == ".html" for path in files)
        row["pageless"] = n_runs - len(list(out.glob("runs/*/*/index.html")))
        add_one(made.ledgers, n_runs)
        row |= staying.measured(made.ledgers, out, cache, lambda turn: add_one(made.ledgers, n_runs + 2 + turn))
    return row


def loop() -> float:
    """Seconds of a loop that does nothing but count."""
    started, n = time.perf_counter(), 0
    while n < LOOP:
        n += 1
    return time.perf_counter() - started


def add_one(ledgers: Path, n_runs: int) -> None:
    """One more rejected run at the end of a generated ledger."""
    store, name = Ledger(ledgers), next(ledgers.glob("*/contract.toml")).parent.name
    made = contract.load(name, ledgers)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in store.record_paths(made)]
    chain = [one["id"] for one in sorted(records, key=lambda one: one["recorded_at"]) if one["verdict"] == "promoted"]
    index = n_runs + (n_runs % bulk.KEPT_EVERY == 0)
    payload = archive.write(random.Random(0).randbytes(400))
    bulk.add(store, made, index, chain, random.Random(index), payload, {})


def sorting(place: Path, n_runs: int) -> dict[str, Any] | None:
    """How long the page of a long ledger sorts in Chromium, and its nodes; None where that is not installed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright import sync_api
    except ImportError:
        return None
    if chromium is None:
        return None
    url, _ = bulk.ledger_page(place / "sorted", n_runs)
    server = host.server(place / "sorted" / "public", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}{url}")
        columns = page.locator("table.ledger th button.sort").count()
        page.evaluate(_SORT, 0)  # loads the rows
        spent_ms = [page.evaluate(_SORT, column) for column in range(columns) for _ in range(2)]
        nodes = page.evaluate("document.querySelectorAll('*').length")
        version = browser.version
        browser.close()
    server.shutdown()
    server.server_close()
    return {
        "runs": n_runs,
        "sorts": len(spent_ms),
        "median_ms": round(statistics.median(spent_ms), 1),
        "least_ms": round(min(spent_ms), 1),
        "most_ms": round(max(spent_ms), 1),
        "nodes": nodes,
        "browser": f"Chromium {version}",
    }


def bars(rows: list[dict[str, Any]], curve: list[dict[str, Any]], sort: dict[str, Any] | None) -> dict[str, Any]:
    """What was asked and what was found, as far as it was measured."""
    found = {}
    for size in dict.fromkeys(row["runs"] for row in rows):
        speeds = {row["builder"]: row["pages_per_s"] for row in rows if row["runs"] == size and "stopped" not in row}
        mine = speeds.pop("lab")
        if speeds:
            ratio = round(mine / max(speeds.values()), 2)
            found[f"{size:,} runs: times the pages per second of the faster other"] = _bar(BAR, ratio, ratio >= BAR)
    for row in (row for row in curve if row["runs"] == BAR_RUNS and "refused" not in row):
        for what, bar, key in (
            ("seconds of a build from nothing", BAR_SECONDS, "seconds"),
            ("seconds of a build with one record more, where the builder stays", BAR_REBUILD_S, "stay_seconds"),
            ("files", BAR_FILES, "files"),
            ("bytes of memory at the peak", BAR_MEMORY, "peak_bytes"),
        ):
            found[f"{BAR_RUNS:,} runs: {what}"] = _bar(bar, row[key], row[key] <= bar)
    if sort:
        for what, bar, key in (
            ("milliseconds of a sort, the median", BAR_SORT_MS, "median_ms"),
            ("nodes of the ledger page", BAR_NODES, "nodes"),
        ):
            found[f"{sort['runs']:,} runs: {what}"] = _bar(bar, sort[key], sort[key] < bar)
    return found


def _bar(bar: float, found: float, reached: bool) -> dict[str, Any]:
    return {"bar": bar, "found": found, "reached": reached}


def main() -> None:
    """Print the rows; write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--beside", type=int, nargs="*", default=BESIDE, help="runs on which the builders stand beside")
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each builder")
    parser.add_argument("--others", type=Path, help="an environment that has the two others")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="ledgers whose builds are measured")
    parser.add_argument("--sorted", type=int, default=SORTED, help="runs of the ledger that is sorted; 0: none")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    curve: list[dict[str, Any]] = []
    versions: dict[str, str] = {}
    compileall.compile_dir(ROOT / "lab", quiet=1)  # as pip does for the others, also where Python itself may not
    compileall.compile_file(ROOT / "build.py", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.beside:
            programs = options.others.resolve() / "bin" if options.others else install(place / "others")
            versions = versions_of(programs)
            for size in options.beside:
                rows += beside(place, programs, size, options.turns)
                _tell(rows[-1 - len(OTHERS) :])
        for size in options.sizes:
            curve.append(growth(place, size))
            _tell(curve[-1:])
        sort = sorting(place, options.sorted) if options.sorted else None
        _tell([sort] if sort else [])
    before = _before(options.json)
    rows, curve = rows or before.get("rows", []), curve or before.get("growth", [])
    sort = before.get("sorting") if not options.sorted else sort
    versions = versions or {
        name: text for name, text in before.get("versions", {}).items() if name in (*OTHERS, "markdown")
    }
    table = {
        "schema": "lab.benchmark/1",
        "name": "site",
        "command": "make bench-site",
        "bars": bars(rows, curve, sort),
        "rows": rows,
        "growth": curve,
        "sorting": sort,
        "machine": custody.machine(),
        "versions": custody.versions(("jinja2", "markupsafe", "hyperscan")) | versions,
        "settings": {"turns": options.turns, "limit_s": LIMIT_S},
    }
    print(json.dumps(table["bars"], indent=1))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _before(path: Path | None) -> dict[str, Any]:
    """What the file says that is about to be written, if it was measured on a machine like this one."""
    if path is None or not path.is_file():
        return {}
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told if told.get("machine") == custody.machine() else {}


def _tell(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
