"""The papers of a submission packet: README, CITATION.cff, ro-crate-metadata.json and release_manifest.json.

Each is a pure function of a run's record and its contract, so that two builds on two machines give the same bytes: no
clock, no environment. Addresses stay placeholders until somebody publishes.

References: RO-Crate 1.3, Process Run Crate; Citation File Format 1.2.0; BagIt (RFC 8493) for the manifest's lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab import custody
from lab.contract import Contract
from lab.errors import PacketError
from lab.ledger import Run
from lab.runtime import USUAL

PLACEHOLDERS = ("repository", "site", "packet_download", "pull_request")
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
# file -> (media type, what it is), as the crate and the README name them
PARTS = {
    "archive.zip": ("application/zip", "the bytes that are charged"),
    "inflate.sh": ("text/x-shellscript", "the judge's entry point"),
    "requirements.txt": ("text/plain", "what the decoder imports, with the versions that were used"),
    "recipe.toml": ("application/toml", "what was asked of the encoder"),
    "contract.toml": ("application/toml", "what is scored: sizes, digests, formula"),
    "record.json": ("application/json", "the run's record in the ledger"),
    "report.txt": ("text/plain", "the evaluator's report"),
    "evaluation.json": ("application/json", "components, terms, rates and custody"),
    "anatomy.json": ("application/json", "what every byte of the archive is"),
    "pairs.csv": ("text/csv", "distortion of every pair"),
    "replay.json": ("application/json", "later inflations and what they gave"),
    "compliance.json": ("application/json", "every rule of the contest, passed or failed"),
    "release_manifest.json": ("application/json", "what is released, with placeholders for addresses"),
    "CITATION.cff": ("application/yaml", "how to cite this"),
    "README.md": ("text/markdown", "how to check this packet alone"),
}


def readme(run: Run, contract: Contract, requirements: tuple[str, ...]) -> str:
    """What a stranger needs to check a packet with nothing but this folder."""
    data = run.data
    measured, kept, rates = data["evaluation"], data["custody"], data["rates"]
    formula, (height, width) = contract.formula, contract.frame_size
    terms = ", ".join(f"{name.removesuffix('_term')} {data['score'][name]!r}" for name in sorted(data["score"])[:3])
    law = f"{formula.segnet:g} * segnet + sqrt({formula.posenet:g} * posenet) + {formula.rate:g} * archive_bytes"
    python, commit = inert(kept["versions"].get("python", "3.11")), inert(kept["commit"])
    machine = " ".join(inert(kept["machine"].get(name, "unknown")) for name in ("architecture", "processor"))
    needs = ", ".join(requirements) or "Python alone"
    beyond = [name for name in (line.partition("==")[0] for line in requirements) if name not in USUAL]
    remark = (
        f"This decoder asks for more than Python, {', '.join(USUAL)}: without {', '.join(beyond)} it does not start."
        if beyond
        else f"It asks for nothing beyond Python, {', '.join(USUAL)}."
    )
    parts = "\n".join(f"| `{name}` | {what} |" for name, (_, what) in PARTS.items() if name not in ("replay.json",))
    return f"""# Submission packet: {inert(run.recipe)} on {contract.name}

This folder holds a video archive of {measured["archive_bytes"]:,} bytes and everything that is needed to check what is
said about it. The video is coded for a pair of frozen neural networks instead of for eyes: task-aware compression
(TAC), also known as task-oriented compression or coding for machines.

| | |
|---|---|
| run | `{run.id}`, grade {run.grade}, {data["verdict"]} |
| score | {run.total!r} (lower is better), axis {inert(run.axis)}, {measured["n_pairs"]} pairs |
| terms | {terms} |
| rate as scored | {rates["as_scored_bytes"]:,} bytes: the archive |
| rate, rule-faithful | {rates["rule_faithful_bytes"]:,} bytes: archive, decoder scripts, any weights that they load |
| archive | sha256 `{kept["archive_sha256"]}` |
| runtime tree | sha256 `{kept["runtime_sha256"]}` |

`S = {law} / source_bytes`

## Check it, with this folder alone

You need a Unix shell, Python {python} or near, and for inflating: {needs}.
{remark} Nothing here asks for the network but the installation.

Every byte is the one that was released:

```sh
sha256sum --check --strict --quiet {custody.MANIFEST} && echo "every file is as released"
```

The score follows from the distortion of every pair:

```sh
python3 - <<'END'
import csv, json, math, os
said = json.load(open("evaluation.json"))
rows = list(csv.DictReader(open("pairs.csv")))
seg, pose = (math.fsum(float(row[name]) for row in rows) / len(rows) for name in ("segnet", "posenet"))
rate = os.path.getsize("archive.zip") / said["evaluation"]["source_bytes"]
total = {formula.segnet!r} * seg + math.sqrt({formula.posenet!r} * pose) + {formula.rate!r} * rate
assert len(rows) == said["evaluation"]["n_pairs"], len(rows)
assert abs(total - said["score"]["total"]) < 1e-6, total
print("score recomputed from", len(rows), "pairs:", total)
END
```

The archive inflates to the recorded frames. Install what the decoder imports first, in an environment of its own
(`python3 -m venv ENV && . ENV/bin/activate && python3 -m pip install -r requirements.txt`; a CPU build of torch is
enough). Inflating took {measured["inflate_s"]:.0f} s where it was recorded and needs {contract.raw_bytes:,} bytes of
temporary space:

```sh
scratch="$(mktemp -d)" && mkdir "$scratch/archive" "$scratch/inflated"
python3 -m zipfile --extract archive.zip "$scratch/archive"
echo 0.mkv > "$scratch/names.txt"
./inflate.sh "$scratch/archive" "$scratch/inflated" "$scratch/names.txt"
echo "{kept["raw_sha256"]}  $scratch/inflated/0.raw" | sha256sum --check --strict --quiet \
  && echo "the frames are the recorded ones" && rm -r "$scratch"
```

`0.raw` is headerless: uint8 RGB, {2 * contract.n_pairs:,} frames of {width} x {height} in display order,
{contract.raw_bytes:,} bytes. Its digest was recorded on this kind of machine: {machine}. Floating-point kernels may
round the last bit differently elsewhere, so another digest on another processor is a reason to measure again, not
proof of a wrong archive.

## Measure it

The source video and the two networks are not part of a packet; `contract.toml` names their digests. In a checkout of
the project, at commit `{commit}`, `lab packet verify FOLDER` inflates twice inside walls, measures both
components again and writes a verdict; `lab rerun {run.id}` repeats the encoding as well.

## What lies here

| file | what it is |
|---|---|
{parts}
| `runtime/` | the decoder and nothing else |
| `{custody.MANIFEST}`, `ro-crate-metadata.json` | digests of every file; the same for machines |
"""


def inert(text: object) -> str:
    """Text of a record as Markdown shows it: no tag, no table cell, no code span of its own."""
    return "".join(sign if sign.isalnum() or sign in " ._+-/(),:@" else f"&#{ord(sign)};" for sign in str(text))


def citation(run: Run, contract: Contract) -> str:
    """CITATION.cff of a packet; strings are JSON strings, which YAML reads as they are."""
    data, kept = run.data, run.data["custody"]
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use this archive or its score, please cite this packet."',
        "type: dataset",
        f"title: {_quoted(f'Submission packet {run.id}: {run.recipe} on {contract.name}')}",
        "authors:",
        '  - name: "the tac-lab authors"',
        f"version: {_quoted(run.id)}",
        f"date-released: {_quoted(str(data['recorded_at'])[:10])}",
        "license: MIT",
        "keywords:",
        '  - "task-aware compression"',
        '  - "video coding for machines"',
        "identifiers:",
        "  - type: other",
        f"    value: {_quoted('sha256:' + kept['archive_sha256'])}",
        '    description: "digest of archive.zip"',
    ]
    if kept["commit"] not in ("", "unversioned"):
        lines.append(f"commit: {_quoted(kept['commit'])}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def release_manifest(run: Run, contract: Contract, urls: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is released, what may be said of it, and where it stands or will stand.

    Args:
        urls: addresses that are public already, by a name of `PLACEHOLDERS`; the others stay placeholders.

    Raises:
        ValueError: an unknown name, or no https address.
    """
    for name, url in (urls or {}).items():
        if name not in PLACEHOLDERS or not url.startswith("https://"):
            raise ValueError(f"expected NAME=https://..., NAME one of {', '.join(PLACEHOLDERS)}; got {name}={url}")
    data = run.data
    kept, measured = data["custody"], data["evaluation"]
    return {
        "schema": "lab.release/1",
        "release_name": run.id,
        "public_urls": {name: (urls or {}).get(name, f"${{{name.upper()}_URL}}") for name in PLACEHOLDERS},
        "frontier": {
            "name": run.recipe,
            "score": run.total,
            "score_formula": f"{contract.formula.segnet:g}*segnet + sqrt({contract.formula.posenet:g}*posenet)"
            f" + {contract.formula.rate:g}*archive_bytes/source_bytes",
            "segnet": measured["segnet"],
            "posenet": measured["posenet"],
            "score_terms": data["score"],
            "archive_bytes": measured["archive_bytes"],
            "archive_sha256": kept["archive_sha256"],
            "runtime_tree_sha256": kept["runtime_sha256"],
            "samples": measured["n_pairs"],
            "axis": run.axis,
            "hardware": kept["machine"],
            "evidence_grade": run.grade,
            "canonical_path": "archive.zip -> inflate.sh -> evaluation.json",
        },
        "rates": data["rates"],
        "artifacts": {
            "score_json": "evaluation.json",
            "compliance_json": "compliance.json",
            "manifest": custody.MANIFEST,
            "crate": "ro-crate-metadata.json",
        },
        "evidence_boundaries": [
            "the score holds for this archive with this runtime on this axis, and for no other pairing",
            "clips and pictures illustrate; evaluation.json is the authority",
            *data["grade_reasons"],
        ],
        "method": {"recipe": data["recipe"], "parents": data["parents"], "verdict": data["verdict_reason"]},
    }


def crate(files: Mapping[str, bytes], run: Run, contract: Contract) -> str:
    """ro-crate-metadata.json over every file of a packet (Process Run Crate: who made what from which bytes).

    Raises:
        PacketError: the RO-Crate library is not installed.
    """
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise PacketError(
            "ro-crate-metadata.json", expected="the package rocrate", found="none", fix="python -m pip install rocrate"
        ) from None
    data, kept = run.data, run.data["custody"]
    made = ROCrate()
    made.name = f"Submission packet {run.id}"
    made.description = f"{run.recipe} on {contract.name}: archive, decoder and evidence of one run."
    made.license = "https://spdx.org/licenses/MIT"
    made.datePublished = data["recorded_at"]
    made.root_dataset["conformsTo"] = {"@id": PROFILE}
    made.root_dataset["identifier"] = f"sha256:{kept['archive_sha256']}"
    entities = {}
    for name, content in sorted(files.items()):
        kind, what = PARTS.get(name, ("text/x-python", "decoder"))
        properties = {
            "name": name,
            "description": what,
            "encodingFormat": kind,
            "contentSize": str(len(content)),
            "sha256": custody.sha256_bytes(content),
        }
        entities[name] = made.add_file(None, name, properties=properties)
    software = ContextEntity(
        made,
        "#tac-lab",
        properties={"@type": "SoftwareApplication", "name": "tac-lab", "softwareVersion": kept["commit"]},
    )
    made.add(software)
    action = {
        "@type": "CreateAction",
        "name": f"encode and measure {run.recipe}",
        "instrument": {"@id": "#tac-lab"},
        "object": [{"@id": name} for name in ("recipe.toml", "contract.toml") if name in entities],
        "result": [{"@id": name} for name in ("archive.zip", "evaluation.json", "pairs.csv") if name in entities],
        "endTime": data["recorded_at"],
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }
    made.add(ContextEntity(made, f"#{run.id}", properties=action))
    made.root_dataset["mentions"] = {"@id": f"#{run.id}"}
    return json.dumps(made.metadata.generate(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
