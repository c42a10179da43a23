"""The language that chat templates are written in: Jinja in a sandbox, with what `apply_chat_template` adds to it.

Written anew so that the child process starts without transformers, whose import takes seconds; that the two agree
is tested against the installed transformers (tests/rendering/test_template_child.py). Imports jinja2 only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.utils
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

PINNED_DATE = "2024-07-26"  # templates that print today's date print this one: equal runs, equal scores


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}`: notes where its block stands. `written`: characters that stand before what is evaluated."""

    tags = {"generation"}  # noqa: RUF012 - declared so by jinja2

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self.written = 0
        self.spans: list[tuple[int, int]] = []

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_noted"), [], [], body).set_lineno(line)

    def _noted(self, caller: Callable[[], str]) -> str:
        text = caller()
        self.spans.append((self.written, self.written + len(text)))
        return text


class _Dict:
    """`dict` without the attributes of the type."""

    def __call__(self, *args: Any, **more: Any) -> dict[object, object]:
        return dict(*args, **more)

    def fromkeys(self, *args: Any) -> dict[object, object]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace` without names that begin with an underscore."""

    def __init__(*args: object, **more: object) -> None:  # no name for `self`: namespace(self=1) is allowed
        values = dict(*args[1:], **more)
        for name in values:
            _refuse_hidden(name)
        jinja2.utils.Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: object) -> None:
        _refuse_hidden(name)
        super().__setitem__(name, value)


def compile_template(source: str) -> jinja2.Template:
    """The compiled template. Raises jinja2.TemplateError where the source is not a template."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {
        "raise_exception": _raise,
        "strftime_now": _pinned_date,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    compiled = environment.from_string(source)
    # a chain of maps is copied key by key for every row: a third of a render
    compiled.globals = dict(compiled.globals)
    return compiled


def run_template(
    compiled: jinja2.Template, variables: Mapping[str, object], limit: int
) -> tuple[str, list[tuple[int, int]]] | None:
    """The text and the spans of its `{% generation %}` blocks, in order; None beyond `limit` characters.

    Raises whatever the template raises.
    """
    tag = compiled.environment.extensions[GenerationTag.identifier]
    assert isinstance(tag, GenerationTag)
    tag.written, tag.spans = 0, []
    blocks = []
    for block in compiled.generate(variables, strftime_now=_pinned_date):
        blocks.append(block)
        tag.written += len(block)
        if tag.written > limit:
            return None
    return "".join(blocks), tag.spans


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as written for people: jinja's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _pinned_date(format: str) -> str:
    return time.strftime(format, time.strptime(PINNED_DATE, "%Y-%m-%d"))


def _refuse_hidden(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace holds no names that begin with an underscore: {name!r}")
