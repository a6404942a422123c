"""Ledgers of any length in seconds: plausible records, each with evidence, made up in every value."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import shelf

from lab import archive, contract, custody
from lab.ledger import Ledger
from lab.site import index, intake, pages, publish, render

ROOT = Path(__file__).resolve().parents[2]
N_PAIRS = 6
KEPT_EVERY = 25
BRANCHING = 9


def make(root: Path, n_runs: int) -> shelf.Made:
    """A contract and `n_runs` records: every run has a parent, one in `KEPT_EVERY` is promoted and keeps its archive.

    Every record has a report, per-pair distortions and an anatomy, as a recorded run has.
    """
    ledgers = root / "ledgers"
    folder = ledgers / shelf.NAME
    (folder / "source").mkdir(parents=True)
    (folder / "runs").mkdir()
    source = folder / "source" / "0.mp4"
    source.write_bytes(b"made up")
    shelf.write_contract(folder, source, size=(54, 70), n_pairs=N_PAIRS, name=shelf.NAME, fps="20")
    made = contract.load(shelf.NAME, ledgers)
    ledger, ids = Ledger(ledgers), {}
    chain: list[str] = []
    chance = random.Random(n_runs)
    payload = archive.write(shelf.payload_of(random.Random(0).randbytes(400), (54, 70), N_PAIRS))
    for number in range(n_runs):
        add(ledger, made, number, chain, chance, payload, ids)
    return shelf.Made(ledgers=ledgers, contract=made, ids=ids)


def add(
    ledger: Ledger,
    made: contract.Contract,
    index: int,
    chain: list[str],
    chance: random.Random,
    payload: bytes,
    ids: dict[str, str],
) -> None:
    """One more record of the series; `chain` holds the promoted ids so far and `ids` every id by its slug."""
    promoted = index % KEPT_EVERY == 0
    noise = random.Random(index).randbytes(550)
    data = archive.write(shelf.payload_of(noise, (54, 70), N_PAIRS)) if promoted else payload
    segnet = 0.004 + 0.004 * math.exp(-index / 900) + 0.0002 * chance.random() * (not promoted)
    pairs = shelf.spread(index, N_PAIRS, segnet, 3 * segnet)
    slug = "baseline-fast" if index == 0 else f"run-{index:06d}"
    digest = custody.sha256_bytes(data if promoted else index.to_bytes(8, "little"))
    n_bytes = len(data) if promoted else len(payload) + index % 5000
    record = shelf.a_record(made, slug, data=digest, n_bytes=n_bytes, pairs=pairs, changed=f"step {index} of a walk")
    record["recorded_at"] = f"2026-{1 + index // 280_000:02d}-{1 + index // 10_000 % 28:02d}T{index // 417 % 24:02d}:"
    record["recorded_at"] += f"{index // 60 % 60:02d}:{index % 60:02d}Z"
    record["parents"] = [chain[-1 - chance.randrange(min(BRANCHING, len(chain)))]] if chain else []
    record["verdict"] = "promoted" if promoted else "rejected"
    record["verdict_reason"] = "a made-up run"
    if not promoted:
        record["grade"] = "A-negative"
    folder = ledger.evidence(made.name, record["id"])
    folder.mkdir(parents=True)
    rows = "".join(f"{i},{pair[0]!r},{pair[1]!r}\n" for i, pair in enumerate(pairs))
    (folder / "pairs.csv").write_text("pair,segnet,posenet\n" + rows, encoding="utf-8")
    (folder / "report.txt").write_text(f"score {record['score']['total']}\n", encoding="utf-8")
    if promoted:
        (folder / "anatomy.json").write_text(json.dumps(shelf.anatomy_of(data)), encoding="utf-8")
        kept = ledger.archive(made.name, digest)
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
        chain.append(record["id"])
    ids[slug] = record["id"]
    text = json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    ledger.record_path(made.name, record["id"]).write_text(text, encoding="utf-8")


def ledger_page(root: Path, n_runs: int) -> tuple[str, list[list[Any]]]:
    """(address, rows) of the ledger page of `n_runs` runs; page, rows and scripts lie in `public` below `root`."""
    made = make(root, n_runs)
    book = intake.load(ROOT / "site_src", made.ledgers)
    urls, tree = render.assets(book.source / "assets")
    found = render.environment(ROOT / "templates", urls)
    found.globals.update(nav=(), site=book.site, book=book, last_recorded=book.last_recorded)
    found.globals.update(has_feed=False, has_packet=False, there=frozenset())
    page = next(page for page in pages.ledgers(book) if page.url == f"/ledger/{made.contract.name}/")
    assert book.main is not None
    rows = index.rows(book.main)
    tree |= {page.path: render.one(page, found), index.url(book.main)[1:]: rows, publish.MARKER: b""}
    publish.swap(tree, root / "public")
    return page.url, json.loads(rows)["rows"]
