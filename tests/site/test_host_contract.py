"""What the host's own runtime answers for a built site: headers, 404, redirects, caching, clips.

Needs wrangler, named by WRANGLER or installed in node_modules; skips with a reason where it is absent.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import shelf
from conftest import build

from lab.site import host, publish

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "node_modules" / ".bin" / "wrangler"
WRANGLER = os.environ.get("WRANGLER") or (str(LOCAL) if LOCAL.is_file() else shutil.which("wrangler"))
QUIET = {
    "WRANGLER_SEND_METRICS": "false",
    "CLOUDFLARE_CF_FETCH_ENABLED": "false",
    "WRANGLER_HIDE_BANNER": "true",
    "CI": "1",
}


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def ask(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """(status, headers by lower-case name, body) of one answer."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(Unmoved).open(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, object]]]:
    """(address, built tree) of a small site under the host's runtime."""
    if WRANGLER is None:
        pytest.skip("wrangler is not installed; see the target preview in the Makefile")
    root = tmp_path_factory.mktemp("hosted")
    made = shelf.make(root, runs=shelf.RUNS[:4], clips=1)
    tree = build(made.ledgers, root / "cache").tree
    publish.swap(tree, root / "public")
    (root / "public" / ".gitignore").write_text("*\n", encoding="utf-8")  # what the folder holds besides
    shutil.copyfile(ROOT / "wrangler.jsonc", root / "wrangler.jsonc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        WRANGLER,
        "dev",
        "--ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--local",
        "--show-interactive-dev-session=false",
    ]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, env={**os.environ, **QUIET, "HOME": str(root)}, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                if process.poll() is not None:
                    pytest.fail((root / "log").read_text(encoding="utf-8", errors="replace")[-2000:])
                try:
                    ask(f"{address}/")
                    break
                except OSError:
                    time.sleep(0.2)
            yield address, tree
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_every_answer_carries_the_strict_headers(served: tuple[str, dict[str, object]]) -> None:
    address, _ = served
    for path in ("/", "/ledger/", "/judges/", "/data/schema.json", "/nowhere/"):
        _, headers, _ = ask(address + path)
        for name, value in host.HEADERS["/*"].items():
            assert headers[name.lower()] == value, (path, name)


def test_an_unknown_address_is_the_sites_own_404(served: tuple[str, dict[str, object]]) -> None:
    address, tree = served
    status, _, body = ask(f"{address}/nowhere/at/all")
    assert (status, body) == (404, tree["404.html"])


def test_redirects_lead_where_they_say(served: tuple[str, dict[str, object]]) -> None:
    address, _ = served
    for old, new, code in host.REDIRECTS:
        status, headers, _ = ask(address + old)
        assert (status, headers["location"]) == (code, new)
    assert ask(f"{address}/ledger/index.html")[0] == 307
    for unserved in ("_headers", "_redirects", ".gitignore", ".assetsignore"):
        assert ask(f"{address}/{unserved}")[0] == 404, unserved


def test_hashed_files_never_change_and_pages_are_asked_for_again(served: tuple[str, dict[str, object]]) -> None:
    address, tree = served
    for name in tree:
        if name.startswith(("assets/", "media/")):
            assert ask(f"{address}/{name}")[1]["cache-control"] == "public, max-age=31536000, immutable", name
    _, headers, _ = ask(f"{address}/")
    assert headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert ask(f"{address}/", **{"If-None-Match": headers["etag"]})[0] == 304


def test_a_clip_comes_whole_although_a_part_was_asked_for(served: tuple[str, dict[str, object]]) -> None:
    """The player loads a clip whole before it seeks, because this host answers no ranges."""
    address, tree = served
    for name, content in tree.items():
        if name.endswith(".mp4"):
            status, headers, body = ask(f"{address}/{name}", Range="bytes=0-99")
            assert status in (200, 206)
            assert headers["content-type"] == "video/mp4"
            if status == 200:
                assert body == publish.read(content)  # type: ignore[arg-type]
    assert any(re.search(r"\.mp4$", name) for name in tree)
