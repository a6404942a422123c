"""Buttons that copy: each gives the text that stands before it, the whole of it."""

from __future__ import annotations

from typing import Any

import pytest
from served import Served

pytestmark = pytest.mark.browser


def test_every_copy_button_of_a_run_copies_the_text_before_it(visit: Any, site: Served) -> None:
    page = visit(f"{site.address}{site.run}").page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.address)
    buttons = page.locator("button.copy")
    shown = page.eval_on_selector_all("button.copy", "all => all.map((one) => one.previousElementSibling.textContent)")
    copied = []
    for at in range(buttons.count()):
        buttons.nth(at).click()
        page.wait_for_function(f"() => document.querySelectorAll('button.copy')[{at}].textContent === 'copied'")
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    assert copied == shown
    assert copied[0].startswith("lab rerun ")
    assert sum(len(text) == 64 for text in copied) >= 6
