"""Only declared fields are published, and hostile texts are inert wherever they stand."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import html5lib
import shelf
from conftest import build
from hypothesis import given
from hypothesis import strategies as st

from lab import schema
from lab.site import sanitize

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "formula": '=HYPERLINK("https://x","y")',
    "order": "safe\u202egpj.exe",
    "hidden": "a\u200bb\u00adc\x00d\ue000e",
    "surrogate": "x\ud800y",
    "template": "{{ 7 * 7 }}{% for x in y %}",
    "quote": '" onmouseover="alert(1)" x=\'',
    "long": "word" * 1500,
}


def plant(made: shelf.Made) -> str:
    """Hostile texts in every free text of one record; gives its id."""
    identifier = made.ids["x265-camera-crf30-intra"]
    path = made.ledgers / shelf.NAME / "runs" / f"{identifier}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["verdict_reason"] = HOSTILE["script"] + HOSTILE["order"]
    record["recipe"]["question"] = HOSTILE["template"] + HOSTILE["quote"]
    record["recipe"]["changed"] = HOSTILE["formula"]
    record["recipe"]["params"] = {
        "<b>key</b>": HOSTILE["script"],
        "list": [HOSTILE["hidden"]],
        "surrogate": HOSTILE["surrogate"],
    }
    record["grade_reasons"] = list(HOSTILE.values())
    record["notes"] = [HOSTILE["long"]]
    record["custody"]["machine"] = {"processor": HOSTILE["quote"], "hostname": "build-7", "user": "someone"}
    record["custody"]["walls"] = [HOSTILE["order"]]
    record["evaluation"]["encode_s"] = float("nan")
    path.write_text(json.dumps(record), encoding="utf-8")
    return identifier


def test_hostile_texts_stay_texts_on_every_page(small: shelf.Made, tmp_path: Path) -> None:
    identifier = plant(small)
    built = build(small.ledgers, tmp_path / "cache")
    for name, content in built.tree.items():
        if name.endswith(".html"):
            html = content.decode()
            document = html5lib.parse(html, namespaceHTMLElements=False)
            for script in document.iter("script"):
                assert script.get("src") or json.loads(script.text)["@context"] == "https://schema.org/", name
            assert not [e for e in document.iter() if any(str(key).startswith("on") for key in e.attrib)], name
            assert not [e for e in document.iter("img") if e.get("src") == "x"], name
            assert sanitize.is_inert(html.replace("\n", " ")), name
    page = built.tree[f"runs/{shelf.NAME}/{identifier}/index.html"].decode()
    assert "⟨U+202E⟩" in page
    assert "{{ 7 * 7 }}" in page
    assert "flagged" in built.tree[f"ledger/{shelf.NAME}/index.html"].decode()


def test_undeclared_fields_are_withheld_and_listed(small: shelf.Made, tmp_path: Path) -> None:
    plant(small)
    built = build(small.ledgers, tmp_path / "cache")
    everything = b"".join(
        content for name, content in built.tree.items() if isinstance(content, bytes) and "withheld" not in name
    )
    assert b"build-7" not in everything
    assert b"someone" not in everything
    listed = json.loads(built.tree["data/withheld.json"])
    assert {"custody.machine.hostname", "custody.machine.user"} <= {item["field"] for item in listed}
    assert any(item["field"] == "evaluation.encode_s" and "finite" in item["reason"] for item in listed)


def test_files_of_evidence_that_are_not_declared_stay_private(small: shelf.Made, tmp_path: Path) -> None:
    folder = small.ledgers / shelf.NAME / "evidence" / small.ids["baseline-fast"]
    (folder / "log.txt").write_text("private", encoding="utf-8")
    (folder / "report.txt").unlink()
    (folder / "report.txt").symlink_to(folder / "log.txt")
    built = build(small.ledgers, tmp_path / "cache")
    assert not [name for name in built.tree if name.endswith("log.txt")]
    assert f"data/{shelf.NAME}/{small.ids['baseline-fast']}/report.txt" not in built.tree


def test_the_csv_holds_no_formula_and_reads_back(small: shelf.Made, tmp_path: Path) -> None:
    identifier = plant(small)
    text = build(small.ledgers, tmp_path / "cache").tree[f"data/{shelf.NAME}/ledger.csv"].decode()
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows[identifier]["changed"] == "'" + HOSTILE["formula"]
    assert float(rows[identifier]["score"]) > 0
    assert len(rows) == 3


@given(st.text())
def test_a_csv_cell_never_starts_a_formula_and_survives_a_reader(text: str) -> None:
    cell = sanitize.csv_cell(text)
    read = next(csv.reader(io.StringIO(f"{cell},end\n")), [""])[0] if text else ""
    assert not re.match(r"[=+\-@\t\r|%]", read)


@given(st.text())
def test_inert_text_is_inert_and_can_be_encoded(text: str) -> None:
    assert sanitize.is_inert(sanitize.inert(text))
    sanitize.inert(text).encode()


def test_every_field_of_the_ledger_schema_is_declared() -> None:
    tables = {"": schema.TOP, **{f"{name}.": table for name, (table, _) in schema.NESTED.items()}}
    fields = {f"{prefix}{name}" for prefix, table in tables.items() for name in table}
    declared = set(sanitize.PUBLIC)
    for name in fields - declared:
        assert any(public.startswith(f"{name}.") for public in declared), name
    tops = {public.split(".")[0] for public in declared}
    assert tops == set(schema.TOP)


def test_the_quick_look_at_a_page_passes_nothing_that_the_thorough_one_refuses() -> None:
    odd = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x11000), *range(0xE0000, 0xE1000), 0xF0000, 0x10FFFF)]
    passed = [sign for sign in odd if sanitize.is_inert_page(f"a{sign}b".encode()) and not sanitize.is_inert(sign)]
    assert passed == ["\n"] or passed == []
    assert sanitize.is_inert_page("a\n·−\u202f%…".encode())
