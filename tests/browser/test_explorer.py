"""The explorer: one window in all panes by pointer and key, overlays from evidence, an address that says it all."""

from __future__ import annotations

from typing import Any

import pytest
from served import Served
from test_moving_panes import explorer, offered

pytestmark = pytest.mark.browser


def lenses(page: Any) -> list[dict[str, float]]:
    return page.eval_on_selector_all(
        ".lens",
        "all => all.map(({ style }) => ({ left: parseFloat(style.left), width: parseFloat(style.width) }))",
    )


def test_one_window_moves_and_grows_in_all_panes(visit: Any, site: Served) -> None:
    page = explorer(visit, site, [0, 1]).page
    page.focus("[data-stage]")
    seen = [lenses(page)]
    page.keyboard.press("Shift+ArrowRight")
    seen.append(lenses(page))
    page.keyboard.press("+")
    seen.append(lenses(page))
    page.click("button[aria-label='Move the window left']")
    seen.append(lenses(page))
    area = page.locator(".screen").nth(1).bounding_box()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.4)
    page.mouse.up()
    seen.append(lenses(page))
    grip = page.locator(".grip").nth(2).bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(grip["x"] + 60, grip["y"] + 60)
    page.mouse.up()
    seen.append(lenses(page))
    for state in seen:
        assert len(state) == 3 and state[0] == state[1] == state[2]
    steps = [state[0] for state in seen]
    assert steps[1]["left"] > steps[0]["left"] and steps[1]["width"] == steps[0]["width"]
    assert steps[2]["width"] < steps[1]["width"]
    assert steps[3]["left"] < steps[2]["left"]
    assert abs(steps[4]["left"] + steps[4]["width"] / 2 - 30) < 1
    assert steps[5]["width"] > steps[4]["width"]


def test_keys_step_frame_by_frame_and_play(visit: Any, site: Served) -> None:
    page = explorer(visit, site, [0, 1]).page
    page.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame 7 ')")
    page.focus("[data-stage]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame 8 ')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame 7 ')")
    for says in ("Pause", "Play"):
        page.keyboard.press("Space")
        page.wait_for_function(f"() => document.querySelector('.controls button').textContent === '{says}'")


def test_the_address_says_runs_frame_window_and_overlay(visit: Any, site: Served) -> None:
    ids = offered(site)
    page = explorer(visit, site, [1, 2]).page
    page.focus("[data-stage]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.check("input[value=pose]")
    page.wait_for_function("() => location.hash.includes('overlay=pose') && location.hash.includes('frame=8')")
    link = page.evaluate("document.querySelector('[data-link]').href")
    before = lenses(page)
    again = visit(link).page
    again.wait_for_selector(".controls")
    again.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame 8 ')")
    assert abs(lenses(again)[0]["left"] - before[0]["left"]) < 0.1
    assert again.is_checked("input[value=pose]")
    ticked = "all => all.filter((row) => row.querySelector('input').checked).map((row) => row.dataset.run)"
    chosen = again.eval_on_selector_all("[data-run]", ticked)
    assert sorted(chosen) == sorted([ids[1], ids[2]])


def test_the_front_page_fetches_its_explorer_when_somebody_asks(visit: Any, site: Served) -> None:
    """Nothing of it is loaded before; after the click it plays, and the list of top runs chooses."""
    page = visit(f"{site.address}/").page
    loaded = "performance.getEntriesByType('resource').map((one) => one.name)"
    assert not [name for name in page.evaluate(loaded) if "compare." in name or "player." in name or ".mp4" in name]
    page.click("[data-later] [data-load]")
    page.wait_for_selector(".controls input[type=range]")
    page.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame ')")
    assert page.locator(".screen canvas").count() == 3
    page.check(".top-runs [data-run] >> nth=2 >> input")
    page.wait_for_function("() => document.querySelectorAll('.screen canvas').length === 4")
    view = page.evaluate("document.querySelector('[data-link]').hash")
    again = visit(f"{site.address}/{view}").page
    again.wait_for_selector(".controls input[type=range]")
    assert again.locator(".screen canvas").count() == 4


def test_an_address_that_makes_no_sense_is_read_as_far_as_it_does(visit: Any, site: Served) -> None:
    seen = visit(f"{site.address}/compare/#runs=nobody,{offered(site)[0]}&frame=99999&zoom=-3&x=zzz&overlay=<b>")
    seen.page.wait_for_selector(".controls")
    seen.page.wait_for_function("() => document.querySelector('output').textContent.startsWith('frame 99 ')")
    assert seen.page.locator(".screen canvas").count() == 3
    assert seen.complaints == []


def test_two_to_four_runs_may_be_chosen(visit: Any, site: Served) -> None:
    page = explorer(visit, site, [0, 1]).page
    page.check("[data-run] >> nth=2 >> input")
    page.wait_for_function("() => document.querySelectorAll('.screen canvas').length === 4")
    page.check("[data-run] >> nth=3 >> input")
    page.wait_for_function("() => document.querySelectorAll('.screen canvas').length === 5")
    assert page.is_disabled("[data-run] >> nth=4 >> input")
    for at in (3, 2, 1):
        page.uncheck(f"[data-run] >> nth={at} >> input")
    page.wait_for_function("() => document.querySelector('[data-status]').textContent.includes('Choose 2 to 4')")


def test_overlays_show_what_the_evidence_says(visit: Any, site: Served) -> None:
    """Under the disagreement overlay the painted pixels are the share that pairs.csv states; so says the caption."""
    run = offered(site)[0]
    page = explorer(visit, site, [0, 1]).page
    page.check("input[value=differs]")
    page.wait_for_function("() => document.querySelector('[data-stage]').textContent.includes('pair 3')")
    page.wait_for_timeout(300)
    shares = page.evaluate(
        """() => [...document.querySelectorAll('.screen canvas')].map((canvas) => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const lane = (at) => data[at] === 240 && data[at + 1] === 180 && data[at + 2] === 0;
          let hits = 0;
          for (let at = 0; at < data.length; at += 4) hits += lane(at);
          return hits / (canvas.width * canvas.height);
        })"""
    )
    folder = site.made.ledgers / site.made.contract.name / "evidence" / run
    segnet = float((folder / "pairs.csv").read_text().splitlines()[4].split(",")[1])
    assert shares[0] == 0
    assert abs(shares[1] - segnet) < 0.003
    assert f"SegNet {100 * segnet:.3f} %" in page.text_content(".panes figure:nth-child(2) figcaption")
    page.check("input[value=classes]")
    page.wait_for_selector(".class-legend", state="visible")
