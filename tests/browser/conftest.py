"""Debian's chromium, and the sites that it looks at; what they are made of stands in `served`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from served import RATES, Served, needs, serve, serve_recorded

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once."""
    try:
        from playwright import sync_api
    except ImportError:
        sync_api = None
    needs("playwright", sync_api)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    needs("chromium", chromium)
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """`sites(fps)`: the site with clips of a frame rate, built when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda fps: stack.enter_context(serve(tmp_path_factory.mktemp("site"), fps)))


@pytest.fixture(scope="session", params=RATES)
def moving(request: pytest.FixtureRequest, sites: Callable[[str], Served]) -> Served:
    """The site with clips of each frame rate."""
    return sites(request.param)


@pytest.fixture(scope="session")
def site(sites: Callable[[str], Served]) -> Served:
    """One site, for what does not depend on the frame rate."""
    return sites(RATES[0])


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The site of the ledger of this checkout, without clips."""
    with serve_recorded(tmp_path_factory.mktemp("recorded")) as site:
        yield site


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """`visit(address, **context)`: a page in a context of its own, with `complaints` of console and policy."""
    contexts = []

    def opened(address: str, **settings: Any) -> Any:
        start = settings.pop("start", "")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if start:
            page.add_init_script(start)
        page.goto(address)
        return SimpleNamespace(page=page, complaints=complaints)

    yield opened
    for context in contexts:
        context.close()
