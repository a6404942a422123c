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


class Thing:
    """An object with attributes, one of which cannot be had."""

    name = "a thing"

    @property
    def inner(self) -> dict[str, str]:
        """A table."""
        return {"name": "<inside>"}

    @property
    def broken(self) -> str:
        """Fails as a missing attribute does."""
        raise AttributeError("broken")

    def method(self, n: int) -> str:
        """A text."""
        return "<" * n


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


@pytest.mark.parametrize(
    "text",
    [
        "{{ table.name }}|{{ table.items() | list }}|{{ table.inner.name.upper() }}|{{ text.upper() }}",
        "{{ (nothing or table).name }}|{{ table.inner['name'] }}|{{ [table, thing] | map(attribute='name') | list }}",
        "{{ thing.name }}|{{ thing.inner.name }}|{{ thing.method(n=3) }}|{{ thing.method(*[4]) }}",
        "{% for one in [table, thing] %}{{ one.name }}{{ loop.index }}{% if loop.last %}.{% endif %}{% endfor %}",
        "{% macro m(a, b='-', c=table.name) %}{{ a }}{{ b }}{{ c }}{% endmacro %}"
        "{{ m(1) }}{{ m(1, 2) }}{{ m(1, 2, 3) }}{{ m(1, c=thing.name) }}{{ m() is defined }}",
        "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ table.name }}{% endcall %}",
        "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, '<', name=2) }}",
        "{% macro m(a) %}{{ a.name }}{% if a.inner %}{{ m(a.inner) }}{% endif %}{% endmacro %}{{ m(table) }}",
        "{{ table.nothing is defined }}|{{ thing.nothing is defined }}|{{ thing.broken is defined }}",
    ],
)
def test_templates_say_what_they_say_without_the_house_generator(text: str) -> None:
    values = {"table": {"name": "<t>", "keys": 1, "inner": {"name": "i", "inner": None}}, "thing": Thing(), "text": "a"}
    ours = forms.Forms(autoescape=True).from_string(text)
    theirs = jinja2.Environment(autoescape=True).from_string(text)
    assert ours.render(values) == theirs.render(values)


@pytest.mark.parametrize(
    "text",
    [
        *("{{ table.nothing }}", "{{ thing.nothing }}", "{{ thing.broken }}", "{{ nothing.name }}", "{{ nothing() }}"),
        *("{{ table.nothing.name }}", "{{ table.nothing() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}"),
        "{% for one in table.nothing %}{% endfor %}",
    ],
)
def test_what_is_missing_is_an_error_wherever_it_is_asked_for(text: str) -> None:
    ours = forms.Forms(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    theirs = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    with pytest.raises(jinja2.UndefinedError) as expected:
        theirs.render(table={}, thing=Thing())
    with pytest.raises(jinja2.UndefinedError) as found:
        ours.render(table={}, thing=Thing())
    assert str(found.value) == str(expected.value)


def test_a_macro_takes_no_more_than_its_arguments() -> None:
    ours = forms.Forms(autoescape=True).from_string("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}")
    with pytest.raises(TypeError, match="not more than 1"):
        ours.render()
