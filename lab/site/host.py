"""Files that the host reads: headers with a strict content policy, redirects, robots, sitemap, and a preview server."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from markupsafe import escape

from lab.errors import SiteError

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
POLICY_NAME = "Content-Security-Policy"
_WITH_WASM = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
_WITH_STYLES = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
HEADERS = {
    "/*": {
        POLICY_NAME: POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    },
    # pagefind's index is read by WebAssembly, in a worker of its own; the policy of the other pages forbids it
    **{path: {POLICY_NAME: _WITH_WASM} for path in ("/search/*", "/pagefind/*")},
    # Plotly writes styles of its own; the policy of the other pages forbids it
    "/interactive/*": {POLICY_NAME: _WITH_STYLES},
    "/assets/*": {"Cache-Control": "public, max-age=31536000, immutable"},
    "/media/*": {"Cache-Control": "public, max-age=31536000, immutable"},
}
TYPES = {".js": "text/javascript", ".webp": "image/webp", ".mp4": "video/mp4", ".svg": "image/svg+xml"}
UNSERVED = b".gitignore\n"  # what of the folder is not of the site; this list itself and both files of rules never are
REDIRECTS = (("/packet/", "/judges/", 302), ("/runs/", "/ledger/", 302), ("/about/", "/reading/", 302))


def headers_file() -> bytes:
    """`_headers`. A header that a narrower path sets again is taken off first: the host would join the two."""
    blocks = []
    for path, rules in HEADERS.items():
        again = [name for name in rules if path != "/*" and name in HEADERS["/*"]]
        lines = [*(f"  ! {name}\n" for name in again), *(f"  {name}: {value}\n" for name, value in rules.items())]
        blocks.append(f"{path}\n" + "".join(lines))
    return "\n".join(blocks).encode()


def redirects_file() -> bytes:
    """`_redirects`."""
    return "".join(f"{old} {new} {status}\n" for old, new, status in REDIRECTS).encode()


def robots_file(url: str) -> bytes:
    """robots.txt; it names the sitemap once the site has an address."""
    return ("User-agent: *\nAllow: /\n" + (f"Sitemap: {url.rstrip('/')}/sitemap.xml\n" if url else "")).encode()


def sitemap_file(url: str, pages: Iterable[str]) -> bytes:
    """sitemap.xml of page addresses below a published URL."""
    rows = "".join(f"<url><loc>{escape(url.rstrip('/') + page)}</loc></url>\n" for page in sorted(pages))
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n".encode()


class Preview(SimpleHTTPRequestHandler):
    """Serves a built tree with its own headers and its own 404 page."""

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """The media type, the same on every machine."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        """Add what `_headers` says for every path."""
        sent: dict[str, str] = {}
        for path, rules in HEADERS.items():
            if self.path.startswith(path.rstrip("*")):
                sent |= rules
        for name, value in sent.items():
            self.send_header(name, value)
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer an unknown address with the site's own page."""
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A preview server on this machine only, not yet running.

    Raises:
        SiteError: the port is taken.
    """
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Preview, directory=str(folder)))
    except OSError as error:
        raise SiteError(
            f"preview on port {port}", expected="a free port", found=error.strerror or str(error), fix="choose a --port"
        ) from None
