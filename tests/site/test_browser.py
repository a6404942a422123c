"""What a reader's browser shows: exact frames, panes that never drift, nothing refused by the content policy.

Needs Debian's chromium and playwright; skips with a reason where they are absent.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shelf
from conftest import build

from lab.site import host, publish

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
READ = f"""() => [...document.querySelectorAll('.screen canvas')].map((canvas) => {{
  const context = canvas.getContext('2d'), block = Math.max(2, Math.floor(canvas.width / 40));
  let value = 0;
  for (let bit = 0; bit < {shelf.BITS}; bit++) {{
    const [level] = context.getImageData(bit * block + block / 2, block / 2, 1, 1).data;
    if (level > 127) value |= 1 << bit;
  }}
  return value;
}})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=["20", "30000/1001"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, int]]:
    """(address of the server, page of the run with a clip, number of frames); the server answers no range requests."""
    root = tmp_path_factory.mktemp("site")
    made = shelf.make(root, size=(218, 290), n_pairs=75, runs=shelf.RUNS[:8], clips=1, fps=request.param)
    built = build(made.ledgers, root / "cache")
    publish.swap(built.tree, root / "public")
    server = host.server(Path(root / "public"), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", next(iter(built.media)), 150
    server.shutdown()
    server.server_close()


def opened(browser: Any, address: str, *, script: bool = True) -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=script)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    return page, complaints


def test_a_paused_frame_is_exactly_the_one_asked_for(browser: Any, site: tuple[str, str, int]) -> None:
    address, url, n_frames = site
    page, complaints = opened(browser, address + url)
    page.click("[data-load]")
    page.wait_for_selector(".controls")
    chance, wrong = random.Random(1), []
    for _ in range(100):
        frame = chance.randrange(n_frames)
        page.evaluate(
            "frame => { const slider = document.querySelector('input[type=range]');"
            "slider.value = frame; slider.dispatchEvent(new Event('input')); }",
            frame,
        )
        page.wait_for_function(
            "frame => document.querySelector('output').textContent.startsWith(`frame ${frame} `)", arg=frame
        )
        page.wait_for_timeout(50)
        shown = page.evaluate(READ)
        wrong += [] if shown == [frame, frame] else [(frame, shown)]
    assert wrong == []
    assert complaints == []


def test_panes_never_drift_while_playing(browser: Any, site: tuple[str, str, int]) -> None:
    address, url, _ = site
    page, complaints = opened(browser, address + url)
    page.click("[data-load]")
    page.wait_for_selector(".controls")
    page.focus(".clip")
    page.keyboard.press("Space")
    seen = set()
    for _ in range(120):
        panes, label = page.evaluate(f"() => [({READ})(), document.querySelector('output').textContent]")
        assert panes[0] == panes[1]
        assert label.startswith(f"frame {panes[0]} ")
        seen.add(panes[0])
        page.wait_for_timeout(15)
    assert len(seen) > 20
    assert complaints == []


def test_one_window_moves_in_both_panes_by_key_and_by_button(browser: Any, site: tuple[str, str, int]) -> None:
    address, url, _ = site
    page, _ = opened(browser, address + url)
    page.click("[data-load]")
    page.wait_for_selector(".controls")

    def lenses() -> list[str]:
        return page.eval_on_selector_all(".lens", "all => all.map(lens => lens.getAttribute('style'))")

    start = lenses()
    page.focus(".clip")
    page.keyboard.press("Shift+ArrowRight")
    moved = lenses()
    page.click("button[aria-label='Zoom in']")
    closer = lenses()
    assert start[0] == start[1] and moved[0] == moved[1] and closer[0] == closer[1]
    assert len({start[0], moved[0], closer[0]}) == 3


def test_every_page_obeys_the_policy_and_fits_a_small_screen(browser: Any, site: tuple[str, str, int]) -> None:
    address, url, _ = site
    for path in (
        "/",
        "/ledger/",
        f"/ledger/{shelf.NAME}/",
        url,
        "/notebook/",
        "/reading/",
        "/judges/",
        "/glossary/",
        "/data/",
    ):
        page, complaints = opened(browser, address + path)
        page.set_viewport_size({"width": 320, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        assert complaints == [], path
        page.context.close()


def test_the_archive_is_verified_in_the_browser(browser: Any, site: tuple[str, str, int]) -> None:
    address, _, _ = site
    page, _ = opened(browser, address + "/judges/")
    page.click("[data-verify] button")
    page.wait_for_selector(".verify-steps li:nth-child(3)")
    assert page.eval_on_selector_all(".verify-steps li", "all => all.map(item => item.className)") == ["good"] * 3


def test_without_scripts_everything_is_there_but_the_player(browser: Any, site: tuple[str, str, int]) -> None:
    address, url, _ = site
    page, _ = opened(browser, address + url, script=False)
    assert page.locator(".pane img").count() == 2
    assert page.locator("[data-load]").is_hidden()
    assert page.locator("a[href$='.mp4']").is_visible()
    page, _ = opened(browser, address + f"/ledger/{shelf.NAME}/", script=False)
    assert page.locator("table.ledger tbody tr").count() == 8
    assert page.locator("svg.plot.wide").first.is_visible()
