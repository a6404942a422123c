"""Every kind of page: WCAG 2.2 AA by axe-core, HTML by vnu, a small screen, no scripts, the keyboard, the policy."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from served import TOOLS, Served, needs

pytestmark = pytest.mark.browser
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SCREENS = [(width, scheme) for scheme in ("light", "dark") for width in (1440, 390, 320)]
AUDIT = f"""() => axe.run({{preload: false, runOnly: {json.dumps(TAGS)}}}).then(({{violations}}) =>
  violations.flatMap(({{id, nodes}}) => nodes.map((one) => `${{id}}: ${{one.target}} ${{one.failureSummary}}`)))"""
# what is read, without what is only worked with
WORDS = """() => {
  const main = document.querySelector('main');
  for (const one of main.querySelectorAll('select, form, fieldset, button')) one.remove();
  return main.innerText.split(/\\s+/).length;
}"""


def kinds(site: Served) -> dict[str, str]:
    """One address for each template; of runs the one with a clip, and one of each codec family."""
    found = {page.template: page.url for page in reversed(site.plan.pages)}
    board = site.plan.book.main.boards[0]
    families = {f"run of {entry.run.family}": entry.url for entry in reversed(board.families)}
    return found | ({"run.html": site.run} if site.run else {}) | {"base of the site": "/"} | families


def audited(
    visit: Any, address: str, urls: dict[str, str], screens: Sequence[tuple[int, str]] = SCREENS
) -> dict[str, Any]:
    """What axe finds on pages, by page and look, with every fold open and the explorer loaded."""
    axe = TOOLS / "axe-core" / "axe.min.js"
    needs("axe-core", axe.is_file())
    wrong = {}
    for kind, url in urls.items():
        page = visit(address + url).page
        if page.locator("[data-load]").count():
            page.click("[data-load]")
            page.wait_for_selector(".controls input[type=range]")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.evaluate(axe.read_text(encoding="utf-8"))
        for width, scheme in screens:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # colours at once
            if found := page.evaluate(AUDIT):
                wrong[f"{kind}, {width} px, {scheme}"] = found
        page.context.close()
    return wrong


def test_every_kind_of_page_of_this_ledger_passes_axe_wide_and_narrow_in_both_schemes(
    visit: Any, recorded: Served
) -> None:
    """With the best run of every family: what a family has on its pages, others have not."""
    pages = kinds(recorded)
    assert len(pages) >= 30 and sum(kind.startswith("run of") for kind in pages) >= 4
    wrong = audited(visit, recorded.address, pages, [(width, scheme) for width, scheme in SCREENS if width != 390])
    assert not wrong, json.dumps(wrong, indent=1)


def test_pages_with_moving_panes_pass_axe_wide_and_narrow_in_both_schemes(visit: Any, site: Served) -> None:
    shown = {kind: url for kind, url in kinds(site).items() if url in (site.run, "/", "/compare/")}
    wrong = audited(visit, site.address, shown)
    assert not wrong, json.dumps(wrong, indent=1)


def test_every_page_is_valid_html(site: Served) -> None:
    jar = TOOLS / "vnu-jar" / "build" / "dist" / "vnu.jar"
    needs("java", shutil.which("java"))
    needs("vnu", jar.is_file())
    command = ["java", "-Xss4m", "-jar", str(jar), "--format", "json", "--exit-zero-always", "--also-check-svg"]
    done = subprocess.run([*command, "--skip-non-html", str(site.folder)], capture_output=True, text=True, check=True)
    said = json.loads(done.stderr)["messages"]
    errors = [f"{one['url'][-60:]}:{one.get('lastLine')} {one['message']}" for one in said if one["type"] == "error"]
    assert errors == []


def test_every_kind_of_page_obeys_the_policy_and_fits_a_small_screen(visit: Any, site: Served) -> None:
    for kind, url in kinds(site).items():
        seen = visit(site.address + url, viewport={"width": 320, "height": 700})
        if seen.page.locator("[data-load]").count():
            seen.page.click("[data-load]")
            seen.page.wait_for_selector(".controls input[type=range]")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 320, kind
        assert seen.complaints == [], kind
        seen.page.context.close()


def test_without_scripts_the_content_is_there(visit: Any, site: Served) -> None:
    """What scripts add are tools, which bring words of their own: at most two in five, on pages made around them."""
    for kind, url in kinds(site).items():
        with_scripts, without = (visit(site.address + url, java_script_enabled=on).page for on in (True, False))
        rich, plain = with_scripts.evaluate(WORDS), without.evaluate(WORDS)
        assert plain >= 0.6 * rich, f"{kind}: {plain} of {rich} words"
        for one in (with_scripts, without):
            one.context.close()
    page = visit(site.address + site.run, java_script_enabled=False).page
    assert page.locator(".pane img").count() == 2
    assert page.locator("a[href$='.mp4']").first.is_visible()
    page = visit(f"{site.address}/compare/", java_script_enabled=False).page
    assert page.locator(".pane img").count() == 6
    assert page.locator("[data-run]").count() == 6


def test_the_first_key_reaches_the_content_and_focus_is_always_seen(visit: Any, site: Served) -> None:
    for kind, url in kinds(site).items():
        page = visit(site.address + url).page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content", kind
        for _ in range(30):
            page.keyboard.press("Tab")
            hidden = page.evaluate(
                """() => {
                  const one = document.activeElement, style = getComputedStyle(one), area = one.getBoundingClientRect();
                  if (one === document.body || one.closest('svg')) return null; // marks have a table
                  const bare = style.outlineStyle === 'none' && style.boxShadow === 'none';
                  const away = area.width < 1 || area.bottom < 0 || area.top > innerHeight;
                  return bare || away ? one.outerHTML.slice(0, 99) : null;
                }"""
            )
            assert hidden is None, kind
        page.context.close()


def test_a_table_is_sorted_and_filtered_by_key(visit: Any, site: Served) -> None:
    page = visit(f"{site.address}/ledger/{site.made.contract.name}/").page
    page.focus("th button.sort >> nth=0")
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").count() == 1


def steps_of_the_check(page: Any) -> list[tuple[str, str]]:
    """(good or bad, words) of every step, after the button was pressed."""
    page.click("[data-verify] button")
    page.wait_for_function("() => document.querySelector('.verify-steps').childElementCount")
    page.wait_for_selector("[data-verify] button:enabled")
    return page.eval_on_selector_all(
        ".verify-steps > li", "all => all.map((item) => [item.className, item.firstElementChild.textContent])"
    )


def test_the_archive_is_verified_in_the_browser_step_by_step(visit: Any, site: Served) -> None:
    seen = visit(f"{site.address}/judges/")
    steps = steps_of_the_check(seen.page)
    assert [state for state, _ in steps] == ["good"] * 6, steps
    for (_, words), what in zip(
        steps, ("Fetched", "SHA-256", "one stored member", "family conventional", "same sections", "Score"), strict=True
    ):
        assert what in words
    names = seen.page.eval_on_selector_all(
        ".verify-steps li > .scroll td:first-child", "all => all.map((cell) => cell.textContent)"
    )
    assert names == ["header", "video"]
    assert seen.page.locator(".verify-steps details tr").count() == 11
    assert seen.complaints == []


def answered(body: bytes, route: Any) -> None:
    """Give these bytes for whatever was asked."""
    route.fulfill(body=body)


def test_an_archive_with_one_other_bit_fails_the_check(visit: Any, site: Served) -> None:
    page = visit(f"{site.address}/judges/").page
    archive = (site.folder / "packet" / "frontier" / "archive.zip").read_bytes()
    for place, bad in ((-200, {"SHA-256", "Container"}), (36, {"SHA-256", "Container", "The field tables"})):
        body = bytearray(archive)
        body[place] ^= 16
        page.unroute_all()
        page.route("**/archive.zip", partial(answered, bytes(body)))
        steps = steps_of_the_check(page)
        failed = [words for state, words in steps if state == "bad"]
        assert len(failed) == len(bad) and all(any(words.startswith(one) for one in bad) for words in failed), steps


def test_words_are_found_in_the_search_index(visit: Any, site: Served) -> None:
    seen = visit(f"{site.address}/search/")
    seen.page.fill(".site-search input", "quantization")
    seen.page.wait_for_selector(".site-search mark, main mark")
    assert seen.complaints == []
