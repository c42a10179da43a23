"""How a trainer that uses no chat template writes an instruction into a prompt. Knows no rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = re.compile(r"\{\{|\}\}|\{(system|instruction|input)\}")


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts with {instruction}, {input} and {system} in them; braces that are to stay are doubled."""

    with_input: str
    without_input: str
    system: str = ""  # what stands before them where there is a system prompt
    default_system: str = ""
    field_system: str | None = None  # the row's field that holds one

    def prompt(self, instruction: str, extra: str, system: str) -> str:
        system = system or self.default_system
        head = _filled(self.system, system=system) if system else ""
        body = self.with_input if extra else self.without_input
        return head + _filled(body, instruction=instruction, input=extra, system=system)


def _filled(text: str, **values: str) -> str:
    def part(found: re.Match[str]) -> str:
        return values.get(found[1], "") if found[1] else found[0][0]

    return _PLACE.sub(part, text)


_TASK = "Below is an instruction that describes a task"
_ASK = "Write a response that appropriately completes the request.\n\n"
_BOTH = f"{_TASK}, paired with an input that provides further context. {_ASK}"
ALPACA = Wording(
    _BOTH + "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    f"{_TASK}. {_ASK}" + "### Instruction:\n{instruction}\n\n### Response:\n",
)
ALPACA_CHAT = Wording(
    _BOTH + "USER: {instruction}\n{input}\nASSISTANT:", f"{_TASK}. {_ASK}" + "USER: {instruction}\nASSISTANT:"
)
ALPACA_BARE = Wording(
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    "### Instruction:\n{instruction}\n\n### Response:\n",
)
