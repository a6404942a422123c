"""How measured values are printed: one place, so that a number looks the same on every page.

Example:
    >>> score(0.22826947142244708), byte_count(178981), signed(-0.0123456)
    ('0.228269', '178,981', '−0.012346')
"""

from __future__ import annotations

import math

MINUS = "−"
NOT_FINITE = "not finite"


def score(value: float, digits: int = 6) -> str:
    """A score or a term of it."""
    return _fixed(value, digits)


def full(value: float) -> str:
    """A value to the last digit that it has."""
    return repr(float(value)).replace("-", MINUS) if math.isfinite(value) else NOT_FINITE


def plain(value: float) -> str:
    """A constant as it is written: 100, 10, 0.5."""
    return f"{value:g}"


def byte_count(value: float) -> str:
    """Bytes with thousands separators, without the unit."""
    return f"{round(value):,}".replace("-", MINUS) if math.isfinite(value) else NOT_FINITE


def size(value: float) -> str:
    """Bytes in the unit that reads best, for files to load."""
    if value < 1_000:
        return f"{value:.0f} bytes"
    if value < 1_000_000:
        return f"{value / 1e3:.0f} KB"
    return f"{value / 1e6:.1f} MB" if value < 1_000_000_000 else f"{value / 1e9:.1f} GB"


def signed(value: float, digits: int = 6) -> str:
    """A difference with its sign; zero has none."""
    if not math.isfinite(value):
        return NOT_FINITE
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0.0:
        return text
    return ("+" if value > 0 else MINUS) + text


def signed_bytes(value: float) -> str:
    """A difference in bytes with its sign."""
    return f"{value:+,.0f}".replace("-", MINUS) if value else "0"


def percent(value: float, digits: int = 1) -> str:
    """A share as a percentage, the sign behind a thin space."""
    return f"{100 * value:.{digits}f}\u202f%".replace("-", MINUS) if math.isfinite(value) else NOT_FINITE


def scientific(value: float, digits: int = 3) -> str:
    """A small component in significant digits, never in exponent form above 1e-5."""
    if not math.isfinite(value):
        return NOT_FINITE
    if value == 0 or abs(value) >= 1e-5:
        places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
        return f"{value:.{max(places, 0)}f}".replace("-", MINUS)
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def seconds(value: float | None) -> str:
    """A wall time."""
    if value is None or not math.isfinite(value):
        return "not recorded"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def short_digest(value: str) -> str:
    """The first digits of a digest."""
    return value[:12]


def date(value: str) -> str:
    """The day of an ISO time."""
    return value[:10]


def _fixed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS) if math.isfinite(value) else NOT_FINITE
