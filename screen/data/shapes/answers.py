"""A prompt and its answer in separate fields: KTO (4), stepwise (5), prompt-completion (10), Alpaca (11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from screen.data.readers.rows import BadRow
from screen.data.sample import Layout, Place, Sample, Turn
from screen.data.shapes.chat import build_chat, build_sharegpt, holds_messages, is_text
from screen.data.shapes.marks import begins_answer, held_marks, may_hold, opens_answer, raw, split, style_of
from screen.data.shapes.messages import read_turns, require_scored
from screen.data.shapes.other import build_document
from screen.data.shapes.reading import How, first, kind, listed, make_sample, said, with_system
from screen.data.shapes.wording import ALPACA

_PAIRS = {  # prompt field -> answer fields that go with it, the likeliest first
    "prompt": ("completion", "response", "answer", "solution", "output"),
    "question": ("answer", "response", "completion", "solution", "output"),
    "query": ("response", "answer", "completion", "output"),
    "problem": ("solution", "answer", "response", "completion"),
    "input": ("output", "response", "completion"),
}
_LABELS = ("label", "kto_tag")
_OUTPUTS = ("output", "response", "completion", "answer")


def find_kto(value: Mapping[str, Any]) -> dict[str, str] | None:
    label = next((n for n in _LABELS if _truth(value.get(n)) is not None), None)
    if label is None:
        return None
    if "prompt" in value and "completion" in value:
        return {"prompt": "prompt", "completion": "completion", "label": label}
    if label == "kto_tag" and (fields := find_alpaca(value)):
        return {**fields, "label": label}
    chat = next((n for n in ("messages", "conversations") if holds_messages(value.get(n))), None)
    return {"messages": chat, "label": label} if chat and label == "kto_tag" else None


def find_stepwise(value: Mapping[str, Any]) -> dict[str, str] | None:
    if type(listed(value.get("completions"))) is list and type(listed(value.get("labels"))) is list:
        return {"prompt": "prompt", "completions": "completions", "labels": "labels"} if "prompt" in value else None
    return None


def find_prompt_completion(value: Mapping[str, Any]) -> dict[str, str] | None:
    names = _pair(value)
    if names is None or not (_textual(value[names[0]]) and _textual(value[names[1]])):
        return None
    return {"prompt": names[0], "completion": names[1]}


def find_alpaca(value: Mapping[str, Any]) -> dict[str, str] | None:
    name = next((n for n in _OUTPUTS if type(value.get(n)) is str), None)
    if name is None or type(value.get("instruction")) is not str:
        return None
    more = {n: n for n in ("input", "history") if n in value}
    if "input" not in value and type(value.get("context")) is str:
        more["input"] = "context"
    return {"instruction": "instruction", **more, "output": name}


def build_kto(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    """The completion; one that is not wanted has the sign -1."""
    label = next((found for n in _LABELS if (found := _truth(value.get(n), numbers=True)) is not None), None)
    if label is None:
        raise BadRow("no_label", "the row has no label of true or false, so it trains neither toward nor away from it")
    how = replace(how, train_on="assistant") if how.train_on == "all" else how  # never any loss on the prompt
    rest = {name: held for name, held in value.items() if name not in _LABELS}
    if value.get("completion") is None and "messages" in value:
        made = build_chat(rest, place, how)
    elif value.get("completion") is None and "conversations" in value:
        made = build_sharegpt(rest, place, how)
    elif "instruction" in value and (value.get("completion") is None or value.get("prompt") is None):
        made = build_alpaca(rest, place, how)
    else:
        made = _answered(rest, Asked("prompt"), "completion", place, how)
    return made if label else [replace(sample, sign=-sample.sign) for sample in made]


def build_stepwise(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    steps = listed(value.get("completions"))
    if type(steps) is not list or any(type(step) is not str for step in steps):
        raise BadRow("wrong_shape", "`completions` is not a list of texts")
    return _answered(value, Asked("prompt"), "completions", place, how, answer="\n".join(steps))


def build_prompt_completion(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    names = _pair(value)
    if names is None:
        prompt = first(value, _PAIRS)
        if prompt is None:
            raise BadRow("wrong_shape", f"the row has none of the prompt fields {', '.join(_PAIRS)}")
        raise BadRow("no_response", f"the row has `{prompt}` but no answer to it")
    return _answered(value, Asked(names[0]), names[1], place, how)


def build_alpaca(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    """Instruction and input on lines of their own make the prompt; `history` comes before them."""
    if type(value.get("instruction")) is not str:
        raise BadRow("wrong_shape", "the row has no text in `instruction`")
    name = first(value, _OUTPUTS)
    if name is None:
        raise BadRow("no_response", f"the row has an instruction but none of {', '.join(_OUTPUTS)}")
    if how.render == "plain":
        return _answered(value, _worded(value, how), name, place, how, layout="pieces")
    turns = [*_history(value.get("history")), {"role": "user", "content": instruction_text(value, how)}]
    read = tuple(field for field in ("instruction", extra_of(value, how), "history") if field)
    return _answered(value, Asked("instruction", turns, read, history=True), name, place, how)


def _worded(value: Mapping[str, Any], how: How) -> Asked:
    """An instruction as a plain prompt."""
    wording = how.wording or ALPACA
    extra, system = extra_of(value, how), wording.field_system
    if extra is not None and type(value.get(extra)) not in (str, type(None)):
        raise BadRow("wrong_shape", f"`{extra}` is {kind(value[extra])}, not text")
    said_by_system = str(value.get(system) or "") if system else ""
    text = wording.prompt(value["instruction"], (value.get(extra) or "") if extra else "", said_by_system)
    return Asked("instruction", text, tuple(name for name in ("instruction", extra, system) if name))


def extra_of(value: Mapping[str, Any], how: How) -> str | None:
    """The field that completes an instruction: `input`, or Dolly's `context` where that has nothing to say."""
    if said(value.get("input")) or how.mapped or how.exact:
        return "input"
    return "context" if type(value.get("context")) is str and value["context"] else None


def instruction_text(value: Mapping[str, Any], how: How) -> str:
    """The user's turn of an Alpaca record."""
    name = extra_of(value, how)
    extra = value.get(name) if name else None
    if extra is not None and type(extra) is not str:
        raise BadRow("wrong_shape", f"`{name}` is {kind(extra)}, not text")
    instruction = str(value.get("instruction") or "")
    return f"{instruction}\n{extra}" if extra and instruction else instruction or extra or ""


def prompt_turns(prompt: Any, name: str, how: How) -> list[Turn]:
    """Turns of a prompt: text, dialogue text, or messages; none scored (unless all is)."""
    if is_text(prompt):
        if (style := style_of(prompt)) is not None:
            turns = split(prompt, style)
            return turns[:-1] if turns[-1].role == "assistant" and not turns[-1].content else turns
        return [Turn("user", prompt, how.train_on == "all" and bool(prompt))]
    if type(listed(prompt)) not in (list, dict):
        raise BadRow("wrong_shape", f"`{name}` is {kind(prompt)}, not text or a list of messages")
    return read_turns(prompt, how, prompt=True)


class Asked(NamedTuple):
    """What an answer answers: the field, or `turns` made of the fields `read`. `history`: its answers are trained."""

    name: str
    turns: Any = None
    read: tuple[str, ...] = ()
    history: bool = False


def _answered(
    value: Mapping[str, Any],
    asked: Asked,
    name: str,
    place: Place,
    how: How,
    *,
    answer: Any = None,
    layout: Layout = "plain",
) -> list[Sample]:
    """One question and the answer in the field `name` (or `answer`, made of it). `layout`: of a plain rendering."""
    prompt = value.get(asked.name) if asked.turns is None else asked.turns
    if prompt is None:
        raise BadRow("wrong_shape", f"the row has no `{asked.name}`")
    answer = value.get(name) if answer is None else answer
    if answer is None:
        raise BadRow("no_response", f"the row has `{asked.name}` but no `{name}`")
    read = (*(asked.read or (asked.name,)), name)
    both = is_text(answer) and is_text(prompt)
    texts = both or (asked.history and is_text(answer))
    if how.render == "plain" and texts:
        turns = plain_turns(prompt, answer, how)
        require_scored(turns[1:])
        return [make_sample(value, place, how, turns, layout, read=read, as_texts=True)]
    marked = type(answer) is str and may_hold(answer)
    found = _marked(prompt, answer, how) if both and (marked or may_hold(prompt)) else None
    if found is not None:
        before, after = found
    elif both:
        before, after = ([turn] for turn in plain_turns(prompt, answer, how))
    else:
        whole = asked.history and how.train_on != "last"
        before = read_turns(prompt, how) if whole else prompt_turns(prompt, asked.name, how)
        after = _answer_turns(answer, name, how)
    turns = with_system(value, before + after)
    require_scored(turns[len(turns) - len(after) :])
    marks = held_marks(answer) if marked and found is None else None
    return [make_sample(value, place, how, turns, read=read, marks=marks, as_texts=texts)]


def _answer_turns(answer: Any, name: str, how: How) -> list[Turn]:
    if is_text(answer):
        return [Turn("assistant", answer, bool(answer))]
    if type(listed(answer)) in (list, dict):
        return read_turns(answer, how)
    raise BadRow("wrong_shape", f"`{name}` is {kind(answer)}, not text or a list of messages")


def plain_turns(prompt: str, answer: str, how: How) -> list[Turn]:
    """Prompt and answer as they stand."""
    return [Turn("user", prompt, how.train_on == "all" and bool(prompt)), Turn("assistant", answer, bool(answer))]


def _marked(prompt: str, answer: str, how: How) -> tuple[list[Turn], list[Turn]] | None:
    """Turns of a prompt and of an answer that are texts with role marks; None for any others."""
    if (style := style_of(prompt)) is not None:
        after = split(answer, style, None if begins_answer(answer, style) else "assistant")
    elif opens_answer(answer) and (style := style_of(f"{prompt}\n\n{answer}")) and begins_answer(answer, style):
        after = split(answer, style)
    else:
        return None
    before = split(prompt, style)
    before = before[:-1] if before[-1].role == "assistant" and not before[-1].content else before
    if how.train_on == "all":
        before = [turn._replace(scored=bool(turn.content)) for turn in before]
    return before, _scored(after, how)


def _scored(turns: list[Turn], how: How) -> list[Turn]:
    """The assistant's turns with loss; the last alone where only that is trained on."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and turn.content]
    wanted = set(answers[-1:] if how.train_on == "last" else answers)
    every = how.train_on == "all"
    return [turn._replace(scored=bool(turn.content)) if every or i in wanted else turn for i, turn in enumerate(turns)]


def build_dialogue(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    """A text with role marks, as its turns. One that is no conversation is a document, its marks on record."""
    name = how.fields.get("text", "text")
    text = value.get(name)
    style = style_of(text) if type(text) is str and how.train_on != "all" else None
    if style is None or type(text) is not str:
        return build_document(value, place, replace(how, shape="document"))
    how = replace(how, shape="dialogue")
    plain = how.render == "plain"
    turns = _scored(raw(text, style) if plain else split(text, style), how)
    require_scored(turns)
    turns = turns if plain else with_system(value, turns)
    layout: Layout = "plain" if plain else "chat"
    return [make_sample(value, place, how, turns, layout, read=(name,), as_texts=True, split_at=style.name)]


def _history(history: Any) -> Iterable[dict[str, str]]:
    pairs = listed(history) or []
    if type(pairs) is not list:
        raise BadRow("wrong_shape", f"`history` is {kind(history)}, not a list of [question, answer]")
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2 or any(type(text) is not str for text in pair):
            raise BadRow("wrong_shape", "`history` is not a list of [question, answer]")
        yield {"role": "user", "content": pair[0]}
        yield {"role": "assistant", "content": pair[1]}


def _pair(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Prompt and answer field. Beside an `instruction`, other fields hold copies of its parts."""
    if "instruction" in value:
        return ("prompt", "completion") if first(value, ("prompt",)) and first(value, ("completion",)) else None
    for prompt, answers in _PAIRS.items():
        if value.get(prompt) is not None and (answer := first(value, answers)):
            return prompt, answer
    return None


def _textual(value: Any) -> bool:
    return type(value) is str or (type(value) is dict and "role" in value) or holds_messages(value)


def _truth(value: Any, *, numbers: bool = False) -> bool | None:
    """A label: true or false, also as the text that a table holds; 1 or 0 only where the rows are known to be KTO's."""
    if type(value) is bool or (numbers and type(value) is int and value in (0, 1)):
        return bool(value)
    return {"true": True, "false": False}.get(value.strip().lower()) if type(value) is str else None
