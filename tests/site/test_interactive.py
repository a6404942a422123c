"""The interactive view: the values of the drawing, the script of the package, one link from every figure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import SiteError
from lab.site import charts, data, host, interactive, leaks, svg
from lab.site.charts import Band, Chart, Line, Mark


def chart(title: str = "Some runs, drawn", **given: object) -> Chart:
    axis = svg.Axis(label="bytes", lo=10.0, hi=1000.0, log=True)
    return Chart(key="some", title=title, x=axis, y=svg.Axis(label="score", lo=0.0, hi=4.0), **given)


def test_the_traces_hold_every_value_of_the_drawing() -> None:
    marks = (
        Mark(x=20.0, y=3.0, kind="promoted", tip="one", href="/runs/one/"),
        Mark(x=90.0, y=2.0, kind="rejected", tip="two"),
        Mark(x=500.0, y=1.0, kind="promoted", tip="three"),
    )
    line = Line(points=((20.0, 3.0), (500.0, 1.0)), kind="frontier-line", step=True)
    told = interactive.traces(chart(marks=marks, lines=(line,)))
    drawn = {trace["class"]: trace for trace in told["data"]}
    assert drawn["line frontier-line"]["shape"] == "hv"
    assert drawn["line frontier-line"]["x"] == [20.0, 500.0]
    assert drawn["mark promoted"]["tips"] == ["one", "three"]
    assert drawn["mark promoted"]["urls"] == ["/runs/one/", ""]
    assert drawn["mark rejected"]["y"] == [2.0]
    assert told["layout"]["xaxis"]["range"] == [1.0, 3.0]
    assert told["layout"]["yaxis"] == {"title": "score", "type": "linear", "range": [0.0, 4.0]}


def test_a_band_follows_its_steps() -> None:
    band = Band(points=((0.0, 1.0, 2.0), (1.0, 1.5, 3.0), (2.0, 1.5, 3.0)), kind="own-lead")
    (traced,) = interactive.traces(chart(bands=(band,)))["data"]
    assert list(zip(traced["x"], traced["y"], strict=True)) == [
        *((0.0, 2.0), (1.0, 2.0), (1.0, 3.0), (2.0, 3.0)),
        *((2.0, 1.5), (1.0, 1.5), (1.0, 1.0), (0.0, 1.0)),
    ]


def test_every_figure_outside_of_single_runs_leads_to_its_view_and_the_view_back(built: SimpleNamespace) -> None:
    page = built.tree["interactive/index.html"].decode()
    listed = dict(re.findall(r'<li id="([^"]+)" data-traces="\.\./([^"]+)"', page))
    asked: set[str] = set()
    for name, content in built.tree.items():
        if name.endswith(".html"):
            links = re.findall(r'href="(?:\.\./|\./)*interactive/#([^"]+)"', data.read(content).decode())
            assert not (links and name.startswith("runs/")), name
            asked |= set(links)
    assert asked == listed.keys()
    assert any(name.startswith("score-against-archive-bytes-paper-drive-cpu") for name in asked)
    for file in listed.values():
        assert json.loads(data.read(built.tree[file]))["data"]


@pytest.mark.parametrize("text", ["<style>*{}</style>", "../../etc", 'cpu" onclick=x', "CPU", "cpu!", "x" * 5_000, ""])
def test_an_anchor_is_short_and_plain_and_two_texts_have_two(text: str) -> None:
    found = charts.anchor(text)
    assert re.fullmatch(r"[a-z0-9-]{1,90}", found)
    assert found not in {charts.anchor("cpu"), charts.anchor(text + "!")} and charts.anchor("cpu") == "cpu"


def test_two_drawings_of_one_name_are_refused() -> None:
    pages = [
        interactive.Page(url=f"/{end}/", template="page.html", title=end, description=end, context={"figure": figure})
        for end, figure in (
            ("a", figure_of(chart())),
            ("b", figure_of(chart(marks=(Mark(x=20.0, y=1.0, kind="open", tip="t"),)))),
        )
    ]
    with pytest.raises(SiteError, match="a name of its own"):
        interactive.views(pages, [])


def figure_of(one: Chart) -> charts.Figure:
    return charts.Figure(key=one.key, title="", finding="", drawings=(charts.both(one),), columns=(), rows=())


def test_the_script_is_that_of_the_package_and_only_that_passes_unlooked_at() -> None:
    found = interactive.script()
    if not found:
        pytest.skip("plotly is not installed")
    ((name, path),) = found.items()
    digest = data.digest_of(path)
    assert name == f"assets/plotly.{digest[:10]}.js"
    gate = leaks.Gate(shipped={name: digest})
    assert gate.scan({name: path}) == []
    planted = b"mail somebody@planted.example"
    assert gate.scan({name: planted}) and gate.scan({"assets/other.js": planted})


def test_styles_of_its_own_are_allowed_on_that_page_only() -> None:
    blocks = host.headers_file().decode().split("\n\n")
    assert [block.partition("\n")[0] for block in blocks if "unsafe-inline" in block] == ["/interactive/*"]


def test_a_changed_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not interactive.script():
        pytest.skip("plotly is not installed")
    (tmp_path / "plotly.min.js").write_text("changed")
    whole = interactive.distribution("plotly")
    part = next(part for part in whole.files if part.as_posix() == interactive.SCRIPT)
    part.locate = lambda: tmp_path / "plotly.min.js"
    monkeypatch.setattr(interactive, "distribution", lambda _: SimpleNamespace(files=[part]))
    with pytest.raises(SiteError, match="as its package shipped it"):
        interactive.script()
