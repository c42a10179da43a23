"""A prompt and its answer, from wherever in the record they stand: texts, dialogue with role marks, or messages."""

from __future__ import annotations

from typing import Any, NamedTuple

from screen.data.readers.rows import BadRow
from screen.data.records.marks import begins_answer, held_marks, may_hold, opens_answer, split, style_of
from screen.data.records.messages import is_text, read_turns, require_scored
from screen.data.records.reading import How, kind, listed, make_sample, with_system
from screen.data.sample import Layout, Place, Sample, Turn
from screen.foreign import JsonObject


class Asked(NamedTuple):
    """What an answer answers: the field, or `turns` made of the fields `read`. `history`: its answers are trained."""

    name: str
    turns: Any = None
    read: tuple[str, ...] = ()
    history: bool = False


def build_answered(
    value: JsonObject,
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


def _answer_turns(answer: object, name: str, how: How) -> list[Turn]:
    if is_text(answer):
        return [Turn("assistant", answer, bool(answer))]
    if type(listed(answer)) in (list, dict):
        return read_turns(answer, how)
    raise BadRow("wrong_shape", f"`{name}` is {kind(answer)}, not text or a list of messages")


def prompt_turns(prompt: object, name: str, how: How) -> list[Turn]:
    """Turns of a prompt: text, dialogue text, or messages; none scored (unless all is)."""
    if is_text(prompt):
        if (style := style_of(prompt)) is not None:
            turns = split(prompt, style)
            return turns[:-1] if turns[-1].role == "assistant" and not turns[-1].content else turns
        return [Turn("user", prompt, how.train_on == "all" and bool(prompt))]
    if type(listed(prompt)) not in (list, dict):
        raise BadRow("wrong_shape", f"`{name}` is {kind(prompt)}, not text or a list of messages")
    return read_turns(prompt, how, prompt=True)


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
    return before, scored_answers(after, how)


def scored_answers(turns: list[Turn], how: How) -> list[Turn]:
    """The assistant's turns with loss; the last alone where only that is trained on."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and turn.content]
    wanted = set(answers[-1:] if how.train_on == "last" else answers)
    every = how.train_on == "all"
    return [turn._replace(scored=bool(turn.content)) if every or i in wanted else turn for i, turn in enumerate(turns)]
