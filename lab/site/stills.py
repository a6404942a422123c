"""Small stills for narrow screens and lists, made from the posters of clips."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

from PIL import Image

from lab.site import data
from lab.site.data import Content

WIDTH_PX, QUALITY = 368, 55


def small(urls: Iterable[str], files: Mapping[str, Content]) -> tuple[dict[str, str], dict[str, Content]]:
    """(address of the small still by that of the poster, files to publish) of posters that are published.

    Args:
        urls: addresses of posters; one that is no wider than a small still stays as it is.
    """
    found: dict[str, str] = {}
    made: dict[str, Content] = {}
    for url in dict.fromkeys(urls):
        with Image.open(io.BytesIO(data.read(files[url[1:]])), formats=["WEBP"]) as poster:
            if poster.width <= WIDTH_PX:
                found[url] = url
                continue
            picture = poster.convert("RGB")
        size = (WIDTH_PX, max(1, round(picture.height * WIDTH_PX / picture.width)))
        out = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(out, "WEBP", quality=QUALITY, method=6)
        found[url] = f"{url.removesuffix('.webp')}-small.webp"
        made[found[url][1:]] = out.getvalue()
    return found, made
