"""Compiled templates and texts: the same code as a compiler's, found again by later processes, lost without harm."""

from __future__ import annotations

from pathlib import Path
from types import CodeType

import pytest

from lab.site import compiled, render


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has compiled nothing yet."""
    monkeypatch.setattr(compiled, "_known", {})
    monkeypatch.setattr(compiled, "_unkept", [])


def compile_(text: str, asked: list[str]) -> CodeType:
    """The code of an expression; each call of the compiler is noted."""

    def make() -> CodeType:
        asked.append(text)
        return compile(text, "a text", "eval")

    return compiled.code(make, "a text", text)


def as_new() -> None:
    """What a new process knows."""
    compiled._known.clear()
    compiled._unkept.clear()


def test_a_text_is_compiled_once_in_a_process_and_not_again_in_the_next(tmp_path: Path) -> None:
    asked: list[str] = []
    assert [eval(compile_("6 * 7", asked)) for _ in range(2)] == [42, 42]
    compiled.keep(tmp_path)
    as_new()
    compiled.load(tmp_path)
    assert eval(compile_("6 * 7", asked)) == 42
    assert asked == ["6 * 7"]
    assert eval(compile_("6 * 8", asked)) == 48
    assert asked == ["6 * 7", "6 * 8"]


def test_a_template_is_read_again_where_its_text_is_another(tmp_path: Path) -> None:
    page, kept = tmp_path / "page.html", tmp_path / "kept"
    for text in ("<p>{{ value }}</p>", "<b>{{ value }}</b>"):
        page.write_text(text, encoding="utf-8")
        for _ in range(2):
            as_new()
            compiled.load(kept)
            found = render.environment(tmp_path, {})
            assert found.get_template("page.html").render(value="<") == text.replace("{{ value }}", "&lt;")
            compiled.keep(kept)
    as_new()
    compiled.load(kept)
    assert len(compiled._known) == 2


def test_a_copy_of_a_template_elsewhere_is_not_compiled_again(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        (folder / "page.html").write_text("<p>{{ value }}</p>", encoding="utf-8")
        assert render.environment(folder, {}).get_template("page.html").render(value=1) == "<p>1</p>"
    assert len(compiled._known) == 1


@pytest.mark.parametrize("harm", [b"", b"nothing of the kind", None], ids=["empty", "another", "cut"])
def test_what_cannot_be_read_is_made_again(tmp_path: Path, harm: bytes | None) -> None:
    compile_("1 + 1", [])
    compiled.keep(tmp_path)
    (kept,) = tmp_path.glob("code-*.bin")
    kept.write_bytes(kept.read_bytes()[:-9] if harm is None else harm)
    as_new()
    compiled.load(tmp_path)
    asked: list[str] = []
    assert eval(compile_("1 + 1", asked)) == 2
    assert asked == ["1 + 1"]


def test_code_of_another_state_of_this_package_is_not_found_and_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_("1 + 1", [])
    compiled.keep(tmp_path)
    monkeypatch.setattr(compiled, "version", lambda _: "another one")
    as_new()
    compiled.load(tmp_path)
    assert not compiled._known
    compile_("1 + 2", [])
    compiled.keep(tmp_path)
    assert len(list(tmp_path.glob("code-*.bin"))) == 1


def test_a_folder_that_takes_nothing_stops_no_build(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file", encoding="utf-8")
    compile_("1 + 1", [])
    compiled.keep(tmp_path / "kept")
    compiled.load(tmp_path / "kept")
    assert len(compiled._known) == 1
