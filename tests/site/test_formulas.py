"""Formulas of the notebook: MathML that passes the sanitizer, dollar signs that stay, faults with a place."""

from __future__ import annotations

import pytest

from lab.errors import SiteError
from lab.site import maths, prose, sanitize


def shown(text: str) -> str:
    return sanitize.clean_html(prose._markdown().render(text))


def test_a_formula_becomes_mathml_in_the_line_and_on_its_own() -> None:
    line = shown(r"The error $d_\text{pose}$ counts.")
    assert '<math display="inline">' in line and "<msub><mi>d</mi>" in line and "<mtext>pose</mtext>" in line
    alone = shown(r"$$ \sqrt{10\, d} + \frac{B}{B_0} $$")
    assert '<math display="block">' in alone and "<msqrt>" in alone and "<mfrac>" in alone


def test_prices_and_code_keep_their_dollar_signs() -> None:
    assert "<math" not in shown("`$HOME` is code; it costs 5$, or between $10 and $20.")


def test_a_formula_cannot_bring_a_script_a_style_or_a_link() -> None:
    for tex in (
        r"\href{javascript:alert(1)}{x}",
        r"\style{color:red}{x}",
        r"x<script>alert(1)</script>",
        r"\text{<b onclick=x>}",
    ):
        try:
            html = shown(f"${tex}$")
        except SiteError:
            continue
        assert not any(mark in html.lower() for mark in ("<script", "onclick=", "href", "style=", "<b ")), html


def test_a_formula_that_cannot_be_set_says_which() -> None:
    with pytest.raises(SiteError, match="left"):
        maths.mathml(r"\left( x", {})
