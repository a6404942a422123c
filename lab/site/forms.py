"""Templates as this site runs them: every text escaped, every missing name an error.

What a template prints goes through `shown`, which gives what `markupsafe.escape` gives without making an object of its
own for a text that is joined to others at once: a long site prints millions of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jinja2
from jinja2 import compiler, nodes, runtime
from jinja2.bccache import Bucket
from markupsafe import Markup, escape
from markupsafe import _escape_inner as escaped  # type: ignore[attr-defined]  # what `escape` calls, in C

_METHODS = frozenset(dir(dict))


def shown(value: Any) -> str:
    """What a page prints of a value: as it is if it is markup, else its text, escaped."""
    kind = type(value)
    if kind is str:
        text: str = escaped(value)
        return text
    return value if kind is Markup else escape(value)


class Generator(compiler.CodeGenerator):
    """Code of a template whose expressions go through `shown` where they would go through `escape`."""

    def _output_child_pre(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None:
            self.write("environment.shown(")
        else:
            super()._output_child_pre(node, frame, finalize)


class Values(runtime.Context):
    """What a template has, and how it calls it: nothing that templates call here asks for this context itself."""

    def call(self, called: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """What a call gives."""
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return called(*arguments, **named)


class Compiled(jinja2.BytecodeCache):
    """Compiled templates of this process; jinja2 asks for them by their name and the digest of their text."""

    _known: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template its code, where the same text was compiled before."""
        if bucket.key + bucket.checksum in self._known:
            bucket.bytecode_from_string(self._known[bucket.key + bucket.checksum])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        self._known[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


class Forms(jinja2.Environment):
    """An environment of templates whose output is HTML."""

    code_generator_class = Generator
    context_class = Values
    shown = staticmethod(shown)

    def getattr(self, value: Any, name: str) -> Any:
        """An attribute, or an element of that name; an element at once where a table has it and no method so called."""
        if type(value) is dict and name in value and name not in _METHODS:
            return value[name]
        try:
            return getattr(value, name)
        except AttributeError:
            return super().getattr(value, name)
