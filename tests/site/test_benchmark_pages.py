"""What the benchmarks' files hold stands on the pages made of them: the Entropy page, and training in the notebook."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf as synthetic
from conftest import build

from lab.errors import SiteError
from lab.site import coding, throughput

LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"
TRAIN = {
    "schema": "lab.benchmark/1",
    "rows": [
        {
            "architecture": name,
            "hidden": 16,
            "ways": {
                "eager": {"pairs_per_s": 6.5, "times_faster": 1.0, "times_less_cpu": 1.0},
                "heap": {"pairs_per_s": 7.25, "times_faster": 1.12, "times_less_cpu": 1.13},
                "trainer": {"pairs_per_s": speed, "times_faster": speed / 6.5, "times_less_cpu": 1.37},
            },
        }
        for name, speed in (("standard", 8.75), ("psd", 12.5))
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small site beside the committed benchmark of class maps and a drawn one of training."""
    root = tmp_path_factory.mktemp("benchmarks")
    made = synthetic.make(root, runs=synthetic.RUNS[:2], clips=0)
    shutil.copytree(LEDGERS / "benchmarks", made.ledgers / "benchmarks")
    (made.ledgers / throughput.FILE).write_text(json.dumps(TRAIN), encoding="utf-8")
    return build(made.ledgers, root / "cache")


def text(page: bytes) -> str:
    """A page's words, tags taken out."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.decode())).split())


def test_the_entropy_page_shows_every_coder_every_event_and_the_tensor(site: SimpleNamespace) -> None:
    told = json.loads((LEDGERS / coding.FILE).read_text(encoding="utf-8"))
    page = site.tree["entropy/index.html"]
    words = text(page)
    for row in told["rows"]:
        assert row["coder"] in words
        assert f"{row['bytes']:,}" in words
    for event in told["spent"]["events"]:
        assert event["event"] in words
        assert f"{event['pixels']:,}" in words
        assert f"{round(event['bits'] / 8):,}" in words
    labels = coding.Coding(LEDGERS).pairs
    assert labels
    assert all(pair in words for pair, *_ in labels)
    tensor = told["tensor"]
    assert tensor["sha256"] in words
    sizes = f"{tensor['maps']} maps of {tensor['height']} × {tensor['width']} pixels"
    assert f"{sizes} and {tensor['labels']} labels" in words
    assert page.count(b"<svg") >= 4
    assert site.tree["data/benchmarks/entropy.json"].read_bytes() == (LEDGERS / coding.FILE).read_bytes()


def test_the_entropy_page_is_there_only_beside_its_benchmark(built: SimpleNamespace) -> None:
    assert "entropy/index.html" not in built.tree


def test_prose_cites_how_fast_post_filters_train_fastest_first(tmp_path: Path) -> None:
    assert throughput.load(tmp_path) is None
    path = tmp_path / throughput.FILE
    path.parent.mkdir()
    path.write_text(json.dumps(TRAIN), encoding="utf-8")
    found = throughput.load(tmp_path)
    assert found is not None
    assert [row.architecture for row in found.rows] == ["psd", "standard"]
    assert ">12.50</a>" in found.rows[0].trainer
    assert ">1.37×</a>" in found.rows[0].less_cpu
    assert ">1.35×</a>" in found.least
    assert ">1.92×</a>" in found.most
    broken = json.loads(json.dumps(TRAIN))
    del broken["rows"][0]["ways"]["eager"]
    path.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(SiteError, match="bench-train"):
        throughput.load(tmp_path)


def test_the_benchmark_of_training_is_published_as_a_file(site: SimpleNamespace) -> None:
    assert json.loads(site.tree[f"data/{throughput.FILE}"].read_text(encoding="utf-8")) == TRAIN
