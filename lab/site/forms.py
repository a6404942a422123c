"""Templates as this site runs them: every text escaped, every missing name an error.

What a template prints goes through `shown`, which gives what `markupsafe.escape` gives without making an object of its
own for a text that is joined to others at once: a long site prints millions of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import jinja2
from jinja2 import compiler, nodes, runtime
from jinja2.utils import missing
from markupsafe import Markup, escape
from markupsafe import _escape_inner as escaped  # type: ignore[attr-defined]  # what `escape` calls, in C

_METHODS = frozenset(dir(dict))
_INDENT = re.compile(r"\n[ \t]+")
marked = str.__new__  # of a plain text, without asking it whether it knows its own markup


def shown(value: Any) -> str:
    """What a page prints of a value: as it is if it is markup, else its text, escaped."""
    kind = type(value)
    if kind is str:
        text: str = escaped(value)
        return text
    return value if kind is Markup else escape(value)


class Generator(compiler.CodeGenerator):
    """Code of a template that does in place what `shown` and `Forms.getattr` do, and calls what it calls itself.

    A value is kept under a name of its own for as long as it takes to look at its kind; nothing else reads that name.
    """

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: compiler.Frame) -> None:
        """The pieces of a template or a block in one list: each that is yielded goes through all that it extends."""
        whole = frame.buffer is None
        if whole:
            self.buffer(frame)
        super().blockvisit(nodes, frame)
        if whole:
            self.writeline(f"yield concat({frame.buffer})")
            frame.buffer = None

    def _output_child_pre(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> None:
        if _is_shown(frame, finalize):
            self.write("(environment.escaped(_shown) if type(_shown := ")
        else:
            super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> None:
        if _is_shown(frame, finalize):
            self.write(") is str else environment.shown(_shown))")
        else:
            super()._output_child_post(node, frame, finalize)

    def visit_Getattr(self, node: nodes.Getattr, frame: compiler.Frame) -> None:
        """The element of a table, the attribute of an object, or what the environment says where there is neither."""
        name = repr(node.attr)
        if node.attr in _METHODS:
            self.write("(_found if (_found := getattr(_whole := ")
            self.visit(node.node, frame)
        else:
            self.write(f"(_whole[{name}] if type(_whole := ")
            self.visit(node.node, frame)
            self.write(f") is dict and {name} in _whole else _found if (_found := getattr(_whole")
        self.write(f", {name}, missing)) is not missing else environment.getattr(_whole, {name}))")

    def visit_Call(self, node: nodes.Call, frame: compiler.Frame, forward_caller: bool = False) -> None:
        """A call; what templates call here asks for no context, see `Values`."""
        if forward_caller or node.dyn_args or node.dyn_kwargs:
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.visit(node.node, frame)
        self.write("(")
        for part in (*node.args, *node.kwargs):
            self.visit(part, frame)
            self.write(", ")
        self.write(")")

    def macro_def(self, macro_ref: compiler.MacroRef, frame: compiler.Frame) -> None:
        """A macro that is called without ceremony."""
        self.write("environment.quick(")
        super().macro_def(macro_ref, frame)
        self.write(")")


def _is_shown(frame: compiler.Frame, finalize: Any) -> bool:
    return frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None


def quick(macro: runtime.Macro) -> Callable[..., Any]:
    """A macro, without looking for arguments by name where there are none."""
    body, blank = macro._func, (missing,) * macro._argument_count
    if macro.catch_kwargs or macro.catch_varargs or macro.caller or macro._default_autoescape is not True:
        return macro

    def called(*arguments: Any, **named: Any) -> Any:
        if named or len(arguments) > len(blank):
            return macro(*arguments, **named)
        return marked(Markup, body(*arguments, *blank[len(arguments) :]))

    called.name = macro.name  # type: ignore[attr-defined]  # by which `once` keeps what it prints
    return called


class Values(runtime.Context):
    """What a template has, and how it calls it: nothing that templates call here asks for this context itself."""

    def call(self, called: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """What a call gives."""
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return called(*arguments, **named)


class Forms(jinja2.Environment):
    """An environment of templates whose output is HTML."""

    code_generator_class = Generator
    context_class = Values
    shown = staticmethod(shown)
    escaped = staticmethod(escaped)
    quick = staticmethod(quick)

    def __init__(self, **options: Any) -> None:
        """As jinja2's own."""
        super().__init__(**options)
        self._ready: dict[str, jinja2.Template] = {}

    def preprocess(self, source: str, *_: Any, **__: Any) -> str:
        """A template whose lines are indented by one space, which takes a twentieth of the bytes of a page."""
        return _INDENT.sub("\n ", super().preprocess(source))

    def get_template(self, name: Any, *_: Any, **__: Any) -> jinja2.Template:
        """A template by its name, looked for once: no page here has names of its own for it."""
        if name not in self._ready:
            self._ready[name] = super().get_template(name)
        return self._ready[name]

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """The names that every template of the site knows; no template here has names of its own."""
        return super().make_globals(d) if d else self.globals

    def getattr(self, value: Any, name: str) -> Any:
        """An attribute, or an element of that name; an element at once where a table has it and no method so called."""
        if type(value) is dict and name in value and name not in _METHODS:
            return value[name]
        try:
            return getattr(value, name)
        except AttributeError:
            return super().getattr(value, name)
