"""A ledger of paper: a contract of two tiny pairs and a decoder of pure Python, so that trust is tested in seconds.

Nothing here imports the bench. Components are made up; everything that depends on them is computed by the house.
"""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import archive, contract, custody, recipe, relocation, report, runtime
from lab.contract import Contract
from lab.ledger import SCHEMA, Ledger, Run, identity_of, plain, run_id

NAME = "paper"
N_PAIRS = 2
SIZE = (6, 8)

RECIPE = """\
family = "paper"
question = "does the paper hold?"
seed = {seed}
[params]
grade = "fine"
"""

DECODE = '''\
"""Pairs of a payload: deflated frames."""

import zlib

PAIR_BYTES = 2 * 6 * 8 * 3


def decode(payload):
    """Memory views of two frames each."""
    plain = zlib.decompress(payload)
    if len(plain) % PAIR_BYTES:
        raise ValueError("cut short")
    for at in range(0, len(plain), PAIR_BYTES):
        yield memoryview(plain)[at : at + PAIR_BYTES]
'''


def a_contract(ledgers: Path) -> Contract:
    """Write the contract `paper` with its files under a ledger root and load it."""
    root = ledgers / NAME
    (root / "source").mkdir(parents=True)
    files = {"source/0.mkv": random.Random(1).randbytes(40_000), "segnet.bin": b"segnet", "posenet.bin": b"posenet"}
    for name, content in files.items():
        (root / name).write_bytes(content)
    digests = {name: custody.sha256_bytes(content) for name, content in files.items()}
    (root / "contract.toml").write_text(
        f'''name = "{NAME}"
title = "paper"
kind = "own"
frame_size = [{SIZE[0]}, {SIZE[1]}]
model_size = [4, 4]
n_pairs = {N_PAIRS}
classes = ["road", "lane line", "undrivable", "movable", "own car"]
time_limit_s = 60
[source]
file = "source/0.mkv"
sha256 = "{digests["source/0.mkv"]}"
bytes = 40000
n_frames = {2 * N_PAIRS}
fps = "20/1"
[networks.segnet]
factory = "paper:segnet"
weights = "segnet.bin"
sha256 = "{digests["segnet.bin"]}"
[networks.posenet]
factory = "paper:posenet"
weights = "posenet.bin"
sha256 = "{digests["posenet.bin"]}"
[formula]
segnet = 100
posenet = 10
rate = 25
''',
        encoding="utf-8",
    )
    return contract.load(NAME, ledgers)


def a_runtime(extra: str = "") -> runtime.Runtime:
    """The decoder of pure Python as a runtime tree."""
    files = {
        "inflate.py": runtime.INFLATE_PY.format(family="paper").encode(),
        "lab/__init__.py": b"",
        "lab/codecs/__init__.py": b"",
        "lab/codecs/paper/__init__.py": b"",
        "lab/codecs/paper/decode.py": (DECODE + extra).encode(),
    }
    return runtime.Runtime(family="paper", files=files, requirements=())


def frames(seed: int, made: Contract) -> bytes:
    """Raw frames of a seed, the exact size of the contract."""
    return random.Random(seed).randbytes(made.raw_bytes)


def a_draft(
    made: Contract,
    slug: str = "plain",
    *,
    seed: int = 0,
    segnet: float = 0.01,
    posenet: float = 0.002,
    parents: tuple[str, ...] = (),
    verdict: str = "promoted",
    supersedes: str | None = None,
    tree: runtime.Runtime | None = None,
) -> tuple[dict[str, Any], dict[str, bytes], bytes]:
    """A record to be, the evidence beside it, and its archive."""
    raw, tree = frames(seed, made), tree or a_runtime()
    data = archive.write(zlib.compress(raw, 9))
    pairs = [(segnet * (1 + part), posenet * (1 - part)) for part in (-0.25, 0.25)]
    segnet, posenet = (math.fsum(pair[place] for pair in pairs) / N_PAIRS for place in (0, 1))
    score = made.score(segnet=segnet, posenet=posenet, archive_bytes=len(data))
    text = RECIPE.format(seed=seed)
    asked = recipe.parse(text, f"paper/{slug}")
    digest = custody.sha256_bytes(data)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "contract": made.name,
        "contract_sha256": made.digest,
        "recorded_at": f"2026-03-01T10:00:{seed % 60:02d}Z",
        "recipe": {
            "name": asked.name,
            "family": asked.family,
            "sha256": asked.digest,
            "question": asked.question,
            "changed": asked.changed,
            "seed": asked.seed,
            "params": asked.params,
        },
        "parents": list(parents),
        "verdict": verdict,
        "verdict_reason": "made of paper",
        "evaluation": {
            "axis": "cpu",
            "n_pairs": N_PAIRS,
            "segnet": segnet,
            "posenet": posenet,
            "archive_bytes": len(data),
            "source_bytes": made.source.bytes,
            "encode_s": 0.5,
            "inflate_s": 0.25,
            "evaluate_s": 0.125,
        },
        "score": {
            "segnet_term": score.segnet_term,
            "posenet_term": score.posenet_term,
            "rate_term": score.rate_term,
            "total": score.total,
        },
        "rates": {"as_scored_bytes": len(data), "rule_faithful_bytes": len(data) + tree.n_bytes},
        "custody": {
            "archive_sha256": digest,
            "runtime_sha256": tree.sha256,
            "runtime_bytes": tree.n_bytes,
            "raw_sha256": custody.sha256_bytes(raw),
            "raw_bytes": len(raw),
            "evaluator_sha256": "ee" * 32,
            "networks": {name: item.sha256 for name, item in made.networks.items()},
            "source_sha256": made.source.sha256,
            "commit": "c0" * 20,
            "dirty": False,
            "device": "cpu",
            "decoder": "pyav",
            "versions": {"python": "3.11.7", "numpy": "2.0.0+local"},
            "machine": {"system": "linux", "architecture": "x86_64", "processor": "paper", "cores": "2"},
            "walls": ["own process", "no network"],
            "exact_arithmetic": True,
        },
        "grade": "invalid",
        "grade_reasons": [],
        "supersedes": supersedes,
        "notes": [],
    }
    record["id"] = run_id(slug, identity_of(record))
    rows = "".join(f"{number},{pair[0]!r},{pair[1]!r}\n" for number, pair in enumerate(pairs))
    sections = [part.as_dict() for part in archive.anatomy(data, "archive.zip")]
    anatomy = {"schema": "lab.anatomy/1", "archive": {"n_bytes": len(data), "sha256": digest}, "sections": sections}
    texts = {
        "report.txt": report.write(
            made, score, segnet=segnet, posenet=posenet, archive_bytes=len(data), axis="cpu", archive_sha256=digest
        ).encode(),
        "pairs.csv": f"pair,segnet,posenet\n{rows}".encode(),
        "anatomy.json": plain(anatomy).encode(),
        "recipe.toml": text.encode(),
        "evaluation.json": evaluation(record),
    }
    return record, texts, data


def evaluation(record: Mapping[str, Any]) -> bytes:
    """evaluation.json of a record."""
    keys = ("contract", "contract_sha256", "evaluation", "score", "rates", "custody")
    return plain({"schema": "lab.evaluation/1", **{key: record[key] for key in keys}}).encode()


def enter(ledger: Ledger, made: Contract, slug: str = "plain", **changes: Any) -> Run:
    """Enter one run as an experiment would."""
    record, texts, data = a_draft(made, slug, **changes)
    tree = changes.get("tree") or a_runtime()
    return ledger.enter(record, made, texts, archive_data=data, tree=tree)


def a_replay(run: Run, **changes: Any) -> dict[str, Any]:
    """A replay that confirms a run, unless told otherwise."""
    kept, measured = run.data["custody"], run.data["evaluation"]
    return {
        "recorded_at": "2026-03-02T10:00:00Z",
        "archive_sha256": kept["archive_sha256"],
        "runtime_sha256": kept["runtime_sha256"],
        "raw_sha256": [kept["raw_sha256"]] * 2,
        "segnet": measured["segnet"],
        "posenet": measured["posenet"],
        "axis": "cpu",
        "walls": ["own process", "no network", "source hidden", "networks hidden", "nothing else readable"],
        **changes,
    }


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file by dotted path, as somebody with an editor would."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        place = data
        *way, last = dotted.split("__")
        for part in way:
            place = place[part]
        place[last] = value
    path.write_text(plain(data), encoding="utf-8")


def findings(files: Mapping[str, bytes], **options: Any) -> set[str]:
    """Names of the rules of the charge that files break."""
    return set(relocation.read(files, **options).broken_rules)
