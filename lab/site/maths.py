"""Formulas of the notebook: TeX between dollar signs becomes MathML when the site is built, and browsers set it.

`$x$` stands in a line, `$$ x $$` on its own. A dollar sign before a digit or a space is a dollar sign.
"""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from lab.errors import SiteError


def formulas(parser: MarkdownIt) -> None:
    """Teach a Markdown parser formulas."""
    dollarmath_plugin(parser, allow_labels=False, allow_digits=False, allow_space=False, renderer=mathml)


def mathml(tex: str, options: dict[str, Any]) -> str:
    """A formula as MathML.

    Raises:
        SiteError: it cannot be read as TeX.
    """
    try:
        return convert(tex, display="block" if options.get("display_mode") else "inline")
    except Exception as error:
        # the converter has an exception for every kind of fault, and no common one
        raise SiteError(
            f"formula {tex[:60]!r}", expected="TeX that can be set", found=str(error) or type(error).__name__
        ) from None
