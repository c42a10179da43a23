"""Whether a text has the tokens here that the upstream's model wrote. What is not known is not claimed."""

from __future__ import annotations

from typing import Literal

from screen.monitor.serve.exchange import Answer, Exchange

Said = Literal["same", "same count", "differ", "unknown"]


def compared(exchange: Exchange, answer: Answer, ids: list[int], eos: frozenset[int]) -> Said:
    """`ids`: of the answer's text by the tokenizer here.

    "same": the upstream gave its token ids, and they are these. "same count": it told how many it wrote, and so many
    there are here, one more where it counts the token that ended a finished answer. Reasoning and tool calls are among
    what it counts and not in the text, and a count over several choices is no one's: unknown.
    """
    if answer.ids is not None:
        own = answer.ids
        while own and own[-1] in eos:
            own = own[:-1]
        if answer.reasoning or answer.tool_calls:
            return "unknown"
        return "same" if own == ids else "differ"
    whole = exchange.ended == "whole" and len(exchange.answers) == 1 and not (answer.reasoning or answer.tool_calls)
    if exchange.completion_tokens is None or not whole:
        return "unknown"
    ending = 0 if answer.finish == "length" else 1
    return "same count" if 0 <= exchange.completion_tokens - len(ids) <= ending else "differ"
