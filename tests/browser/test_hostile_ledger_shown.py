"""Records that hold scripts, formulas, turned and endless texts and broken numbers in every field, in a real Chromium.

Under the site's policy nothing of them runs, nothing is asked of another address, pages keep their width, and each row
is flagged. The same payload without the policy and without escaping does run: the detector is tried on it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hostile
import pytest
import shelf
from served import ROOT

from lab.site import check, host, intake, plan, publish, render, search

pytestmark = pytest.mark.browser
WIDTH = 390
KINDS = [kind for kind in hostile.TEXTS if kind not in ("megabyte", "beyond")]
START = "window.caught = 0;"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A site whose every run but the first is hostile: two of each kind of text, one of them on an axis of its own, and
    one of each kind of number. `taken` has the spoiled fields by run.
    """
    root = tmp_path_factory.mktemp("hostile")
    made = shelf.make(root, clips=0)
    ids = list(made.ids.values())[1:]
    plain = [path for path in hostile.FREE if path != "evaluation.axis"]
    taken: dict[str, list[str]] = {}
    for index, kind in enumerate(KINDS):
        for identifier, paths in ((ids[2 * index], plain), (ids[2 * index + 1], hostile.FREE)):
            path = made.ledgers / shelf.NAME / "runs" / f"{identifier}.json"
            record = json.loads(path.read_text(encoding="utf-8"))
            if paths is not plain:
                path.write_text(json.dumps(record | {"verdict": "open"}), encoding="utf-8")
            taken[identifier] = hostile.spoil(made, identifier, hostile.TEXTS[kind], paths)
    for identifier, value in zip(ids[2 * len(KINDS) :], (hostile.NUMBERS["nan"], hostile.NUMBERS["inf"]), strict=False):
        taken[identifier] = hostile.spoil(made, identifier, value, [*hostile.COUNTED, *hostile.FREE])
    book = intake.load(ROOT / "site_src", made.ledgers)
    planned = plan.make(book, {}, partial(render.figure_makers, ROOT / "templates"))
    tree = render.render(planned, ROOT / "templates")
    tree |= search.index(tree, root)
    with publish.draft(root / "public") as place:
        check.check(tree, place=place)
    server = host.server(root / "public", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        address=f"http://127.0.0.1:{server.server_port}", plan=planned, taken=taken, tree=tree, made=made
    )
    server.shutdown()
    server.server_close()


def watched(visit: Any, address: str, url: str, **settings: Any) -> SimpleNamespace:
    """A page that was looked at, with everything that a payload could have done to it."""
    seen = visit("about:blank", viewport={"width": WIDTH, "height": 800}, start=START, **settings)
    page, done = seen.page, []
    page.on("dialog", lambda dialog: (done.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda asked: None if asked.url.startswith(address) else done.append(f"asked {asked.url}"))
    page.on("framenavigated", lambda frame: None if frame.url.startswith(address) else done.append(frame.url))
    page.goto(address + url)
    page.wait_for_timeout(60)  # what runs late, such as the handler of a picture that is not there
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    done += ["a script ran"] if page.evaluate("window.caught") else []
    wide = page.evaluate("document.documentElement.scrollWidth")
    return SimpleNamespace(page=page, done=done + seen.complaints, wide=wide)


def test_every_kind_of_free_field_is_spoiled(spoiled: SimpleNamespace) -> None:
    assert len(spoiled.taken) == len(spoiled.made.ids) - 1
    fields = {path for paths in spoiled.taken.values() for path in paths}
    assert set(hostile.FREE) - fields == {"contract", "schema"}  # of these any other text is refused


def test_nothing_of_a_hostile_record_runs_and_every_page_keeps_its_width(visit: Any, spoiled: SimpleNamespace) -> None:
    urls = {page.template: page.url for page in reversed(spoiled.plan.pages)}
    runs = [page.url for page in spoiled.plan.pages if page.template == "run.html"]
    wrong = {}
    for url in [*dict.fromkeys([*urls.values(), *runs])]:
        seen = watched(visit, spoiled.address, url)
        if seen.done or seen.wide > WIDTH:
            wrong[url] = [*seen.done, f"{seen.wide} px"]
        seen.page.context.close()
    assert wrong == {}


def test_every_hostile_row_is_flagged_on_its_page_in_the_ledger_and_in_the_data(
    visit: Any, spoiled: SimpleNamespace
) -> None:
    page = watched(visit, spoiled.address, f"/ledger/{shelf.NAME}/").page
    rows = page.locator("table.ledger tbody tr:not(.spacer)").evaluate_all(
        "all => all.map((row) => [row.querySelector('a').getAttribute('href').split('/').at(-2), row.innerText])"
    )
    flagged = {identifier for identifier, text in rows if "flagged" in text}
    assert flagged == set(spoiled.taken)
    published = json.loads(spoiled.tree[f"data/{shelf.NAME}/ledger.json"])
    assert set(published["flagged"]) == set(spoiled.taken)
    for identifier in spoiled.taken:
        seen = watched(visit, spoiled.address, f"/runs/{shelf.NAME}/{identifier}/").page
        assert "withheld or made visible" in seen.inner_text(".warning"), identifier
        seen.context.close()


def test_sorting_and_filtering_a_hostile_table_runs_nothing(visit: Any, spoiled: SimpleNamespace) -> None:
    seen = watched(visit, spoiled.address, f"/ledger/{shelf.NAME}/")
    for button in seen.page.locator("table.ledger button.sort").all():
        button.click()
    seen.page.fill(".filters input[type=search]", "<script>")
    seen.page.wait_for_timeout(100)
    assert seen.done == [] and not seen.page.evaluate("window.caught")
    assert seen.page.locator("table.ledger tbody tr:not(.spacer)").count() > 0
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= WIDTH


@pytest.mark.parametrize("kind", ["script", "handler"])
def test_the_policy_alone_stops_what_escaping_would_have_let_through(
    visit: Any, spoiled: SimpleNamespace, tmp_path: Path, kind: str
) -> None:
    """The payload as it stands in the body of a page: it runs where there is no policy, and not where there is."""
    page = f'<!doctype html><title>x</title><input value="{hostile.TEXTS[kind]}">{hostile.TEXTS[kind]}'
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    server = host.server(tmp_path, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    under = watched(visit, address, "/")
    assert not under.page.evaluate("window.caught")
    assert not [one for one in under.done if one.startswith(("dialog", "asked"))]
    assert any("Content Security Policy" in one for one in under.done)
    bare = watched(visit, address, "/", bypass_csp=True)
    assert "a script ran" in bare.done and any(one.startswith("dialog") for one in bare.done)
    server.shutdown()
    server.server_close()
