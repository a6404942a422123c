"""Frames read back from their burned-in numbers: panes never drift, and a paused frame is the one asked for."""

from __future__ import annotations

import random
from typing import Any

import pytest
import shelf
from served import N_FRAMES, Served

pytestmark = pytest.mark.browser
NO_CODECS = "delete window.VideoDecoder;"
# a video that has no picture to give at every other asking, as while it seeks
BETWEEN_PICTURES = """
let asked = 0;
window.VideoFrame = new Proxy(VideoFrame, { construct(kind, given) {
  if (asked++ % 2 === 0) throw new DOMException('Invalid source state', 'InvalidStateError');
  return new kind(...given);
} });
window.asked = () => asked;
"""
# what every screen shows and what the label says, read in one step; `watch` reads after each painted frame
READ = f"""
const numbers = () => [...document.querySelectorAll('.screen canvas')].map((canvas) => {{
  const context = canvas.getContext('2d'), block = Math.max(2, Math.floor(canvas.width / 40));
  const {{ data }} = context.getImageData(0, Math.floor(block / 2), canvas.width, 1);
  let value = 0;
  for (let bit = 0; bit < {shelf.BITS}; bit++) if (data[4 * Math.floor((bit + 0.5) * block)] > 127) value |= 1 << bit;
  return value;
}});
const labelled = () => Number(document.querySelector('output').textContent.split(' ')[1]);
"""
PAUSED = f"""async (frame) => {{ {READ}
  const slider = document.querySelector('.controls input[type=range]');
  slider.value = frame;
  slider.dispatchEvent(new Event('input'));
  const limit = performance.now() + 5000;
  const settled = () => labelled() === frame && numbers().every((number) => number === frame);
  while (performance.now() < limit && !settled()) await new Promise(requestAnimationFrame);
  for (let more = 0; more < 2; more++) await new Promise(requestAnimationFrame);
  return [labelled(), ...numbers()];
}}"""
WATCHED = f"""() => new Promise((done) => {{ {READ}
  const seen = [], label = document.querySelector('output');
  const watcher = new MutationObserver(() => {{
    seen.push([labelled(), ...numbers()]);
    if (seen.length > 3 && seen.at(-1)[0] < seen.at(-2)[0]) {{ watcher.disconnect(); done(seen); }}
  }});
  watcher.observe(label, {{ childList: true }});
  document.querySelector('.controls button').click();
  setTimeout(() => {{ watcher.disconnect(); done(seen); }}, 25000);
}})"""


def explorer(visit: Any, site: Served, runs: list[int], start: str = "") -> Any:
    """The explorer with runs by their place in its table, loaded."""
    names = offered(site)
    asked = ",".join(names[at] for at in runs)
    seen = visit(f"{site.address}/compare/#runs={asked}&frame=7", start=start)
    seen.page.wait_for_selector(".controls input[type=range]")
    return seen


def offered(site: Served) -> list[str]:
    """Ids of the runs that the page offers, those of the atlas first."""
    page = next(page for page in site.plan.pages if page.url == "/compare/")
    return [offer.entry.id for offer in page.values["offers"]]


def wrong_when_paused(page: Any) -> list[Any]:
    """Every frame, in a shuffled order: those that were not exactly what was asked for."""
    order = list(range(N_FRAMES))
    random.Random(1).shuffle(order)
    shown = [(frame, page.evaluate(PAUSED, frame)) for frame in order]
    return [(frame, found) for frame, found in shown if set(found) != {frame}]


def mismatched_when_played(page: Any, least: int = N_FRAMES // 4) -> list[Any]:
    """The painted frames of one full play whose panes, or whose label, do not agree. A busy machine paints fewer."""
    assert set(page.evaluate(PAUSED, 0)) == {0}
    seen = page.evaluate(WATCHED)
    assert len({row[0] for row in seen}) >= least, f"only {len(seen)} frames were painted"
    return [row for row in seen if len(set(row)) != 1]


def test_a_run_beside_its_source_is_exact(visit: Any, moving: Served) -> None:
    seen = visit(moving.address + moving.run)
    seen.page.click("[data-load]")
    seen.page.wait_for_selector(".controls")
    assert wrong_when_paused(seen.page) == []
    assert mismatched_when_played(seen.page) == []
    assert seen.complaints == []


def test_a_video_between_two_pictures_is_asked_again(visit: Any, moving: Served) -> None:
    seen = visit(moving.address + moving.run, start=BETWEEN_PICTURES)
    seen.page.click("[data-load]")
    seen.page.wait_for_selector(".controls")
    assert wrong_when_paused(seen.page) == []
    assert mismatched_when_played(seen.page) == []
    assert seen.page.evaluate("asked()") > N_FRAMES
    assert seen.complaints == []


def test_runs_of_the_atlas_are_exact(visit: Any, moving: Served) -> None:
    seen = explorer(visit, moving, [0, 1, 2, 4])
    assert seen.page.locator(".screen canvas").count() == 5
    assert wrong_when_paused(seen.page) == []
    assert mismatched_when_played(seen.page) == []
    assert seen.complaints == []


def test_other_runs_are_exact_in_lockstep(visit: Any, moving: Served) -> None:
    seen = explorer(visit, moving, [0, 2, 5])
    seen.page.wait_for_selector("[data-status]:has-text('decoded frame by frame')")
    assert seen.page.locator(".screen canvas").count() == 4
    assert wrong_when_paused(seen.page) == []
    assert mismatched_when_played(seen.page) == []
    assert seen.complaints == []


def test_a_browser_without_codecs_shows_one_run_at_a_time_on_the_same_frame(visit: Any, site: Served) -> None:
    seen = explorer(visit, site, [0, 5], start=NO_CODECS)
    seen.page.wait_for_selector("[data-status]:has-text('one at a time')")
    assert seen.page.evaluate(PAUSED, 33) == [33, 33, 33]
    seen.page.click("[data-stage] button[aria-pressed=false]")
    other = offered(site)[5].rpartition("-")[0]
    seen.page.wait_for_function(f"""() => {{ {READ}
      const caption = document.querySelector('.panes figure:nth-child(2) figcaption').textContent;
      return caption.startsWith('{other},') && labelled() === 33 && numbers().every((number) => number === 33); }}""")
    assert seen.complaints == []
