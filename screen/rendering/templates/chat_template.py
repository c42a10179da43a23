"""Which chat template a run uses, and how it is called. Knows nothing of tokens and masks."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from screen.errors import ModelError, UsageError
from screen.rendering.templates.sandbox import Job, Rendering, TemplateCap, TemplateFailed, run_templates
from screen.rendering.tokenizer import Tokenizer

Message = dict[str, Any]  # in plain JSON, as a trainer hands it to the template
LONGEST = 1_000_000  # characters of a template: the longest of known models have some 20,000
PASS_ANOTHER = "pass --template FILE with another one"

# For base models without a chat template. A role header stands on a line of its own, so that the first word of an
# answer does not merge with it into one token; a turn ends with an empty line.
PLAIN = """\
{%- set names = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"} -%}
{%- for message in messages -%}
{{- names.get(message.role, message.role | capitalize) + ":\n" -}}
{%- if message.reasoning_content -%}
{{- "<think>\n" + message.reasoning_content + "\n</think>\n\n" -}}
{%- endif -%}
{{- message.content -}}
{%- for call in message.tool_calls or [] -%}
{{- ("\n" if message.content or not loop.first else "") + (call | tojson) -}}
{%- endfor -%}
{{- "\n\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "Assistant:\n" -}}{%- endif -%}
"""

_CONTROL = re.compile(r"<[|｜][^|｜<>\s]{1,64}[|｜]>")


class RenderRequest(NamedTuple):
    """What a template is to render, in plain JSON."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, object]] | None = None
    kwargs: Mapping[str, object] | None = None
    add_generation_prompt: bool = False


class Template:
    """A chat template by name: "tokenizer", "plain", or the path of a file.

    `source` is its Jinja text; a tokenizer with several named templates has `tool_source` too, for rows with tools.
    """

    def __init__(self, name: str, source: str, tokenizer: Tokenizer, tool_source: str | None = None) -> None:
        self.name = name
        self.source = source
        self.tool_source = tool_source or source
        self._fixed = tokenizer.template_variables
        _check(self.where, list(dict.fromkeys([self.source, self.tool_source])))

    @property
    def where(self) -> str:
        """The template in a message's words."""
        named = {"tokenizer": "the tokenizer's chat template", "plain": "the plain template"}
        return named.get(self.name, f"the chat template {self.name}")

    @property
    def sha256(self) -> str:
        """Hex digest over the Jinja text."""
        text = self.source if self.source == self.tool_source else f"{self.source}\0{self.tool_source}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def adds_prefix(self) -> bool:
        """True for the plain template: the tokenizer's BOS goes before the text, for no template wrote one."""
        return self.name == "plain"

    @property
    def control_strings(self) -> frozenset[str]:
        """Text of the template that looks like a control token, `<|im_end|>`, whether or not it is a token."""
        return frozenset(_CONTROL.findall(self.source + self.tool_source))

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, object]] | None = None,
        kwargs: Mapping[str, object] | None = None,
        add_generation_prompt: bool = False,
    ) -> str:
        """The conversation as text. All arguments are plain JSON. Raises TemplateFailed, TemplateCap among them."""
        (made,) = self.render_all([RenderRequest(messages, tools, kwargs, add_generation_prompt)])
        if isinstance(made, TemplateFailed):
            raise made
        return made.text

    def render_all(self, requests: Sequence[RenderRequest]) -> list[Rendering | TemplateFailed]:
        """One outcome a request, in order: all go to the child process together."""
        return run_templates([self._job(request) for request in requests])

    def prompt(self, messages: Sequence[Message]) -> str:
        """The conversation with the generation header, for a model to go on from. Raises ModelError."""
        try:
            return self.render(messages, add_generation_prompt=True)
        except TemplateFailed as error:
            raise ModelError(f"{self.where} makes no prompt: {error}", PASS_ANOTHER) from None

    def _job(self, request: RenderRequest) -> Job:
        variables = {
            **self._fixed,
            **(request.kwargs or {}),
            "messages": list(request.messages),
            "tools": list(request.tools) if request.tools else None,
            "documents": None,
            "add_generation_prompt": request.add_generation_prompt,
        }
        return Job(self.tool_source if request.tools else self.source, variables)


def load_template(tokenizer: Tokenizer, choice: str | None = None) -> Template:
    """The template that `--template` names; without it the tokenizer's own, or "plain" where it has none."""
    if choice == "plain":
        return Template("plain", PLAIN, tokenizer)
    if choice is not None:
        return Template(choice, _read(choice), tokenizer)
    own = getattr(tokenizer.hf, "chat_template", None)
    if not own:
        return Template("plain", PLAIN, tokenizer)
    if isinstance(own, str):
        return Template("tokenizer", own, tokenizer)
    if "default" not in own:
        raise ModelError(
            f"the tokenizer has several chat templates and no default: {', '.join(sorted(own))}",
            "save the one you train with to a file and pass --template FILE",
        )
    return Template("tokenizer", own["default"], tokenizer, own.get("tool_use"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the chat template {path} cannot be read: {error}",
            'pass the path of a Jinja file, or "plain"',
        ) from error


def _check(where: str, sources: Sequence[str]) -> None:
    """Refuse what does not compile."""
    if max(map(len, sources)) > LONGEST:
        raise ModelError(f"{where} is longer than any chat template ({LONGEST:,} characters)", PASS_ANOTHER)
    for made in run_templates([Job(source, None) for source in sources]):
        if isinstance(made, TemplateCap):
            raise ModelError(f"{where} cannot be compiled: {made}", PASS_ANOTHER)
        if isinstance(made, TemplateFailed):
            raise ModelError(f"{where} is not valid Jinja: {made}", PASS_ANOTHER)


def renderable(renders: int, messages: int) -> bool:
    """Whether a conversation of so many messages may be rendered so many times: a second's work at most."""
    return renders * messages <= 200_000


def frozen_key(*values: object) -> str:
    """One line of JSON for plain data: equal data, equal text."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
