"""What a template prints is escaped exactly as markupsafe escapes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
from markupsafe import Markup, escape

from lab.site import forms, render

VALUES: tuple[Any, ...] = (
    *("plain", "", "<b>&\"'</b>", "−1.5", "\u202f%", Markup("<b>bold</b>"), 3, -2.5, True, None, 10**30),
    *([1, "<"], ("&",), {"<": ">"}, float("inf"), Path("a<b")),
)


class Text(str):
    """A kind of text that is no plain one."""


class Drawn:
    """A value that knows its own markup."""

    def __html__(self) -> str:
        return "<i>drawn</i>"


@pytest.mark.parametrize("value", [*VALUES, Text("<x>"), Drawn()], ids=lambda value: type(value).__name__)
def test_a_value_is_shown_as_markupsafe_escapes_it(value: Any) -> None:
    assert str(forms.shown(value)) == str(escape(value))
    text = "{% macro m(v) %}<p>{{ v }}</p>{% endmacro %}{% set w %}{{ value }}{% endset %}"
    text += "{{ value }}|{{ m(value) }}|{{ w }}"
    ours = forms.Forms(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    theirs = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    assert ours.render(value=value) == theirs.render(value=value)


def test_a_missing_name_is_an_error_wherever_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>{{ nothing }}</p>", encoding="utf-8")
    found = render.environment(tmp_path, {})
    assert isinstance(found, forms.Forms)
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        found.get_template("page.html").render()
