"""Rows longer than the context, megabytes without a space, broken text, templates that misbehave."""

from __future__ import annotations

import gc
import threading

import pytest

from screen.data.sample import Skip
from screen.errors import ModelError
from screen.rendering import drafts
from screen.rendering.ladder import calls
from screen.rendering.templates import sandbox
from tests.rendering import templates as T
from tests.rendering.toys import KINDS, chat, refusal, rendered, renderer, texts


def test_what_fits_the_context_is_kept() -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello there"), ("user", "ok"), ("assistant", "fine " * 50))
    whole = rendered(renderer(T.CHATML), sample).sequences[0]
    for context in (len(whole.ids) - 30, len(whole.ids) - 1, len(whole.ids)):
        result = rendered(renderer(T.CHATML, context=context), sample)
        (sequence,) = result.sequences
        assert sequence.ids.tolist() == whole.ids[:context].tolist()
        assert result.tokens_lost == len(whole.ids) - context
        assert sequence.turns[0].text == "Hello there"
        assert whole.turns[1].text.startswith(sequence.turns[1].text)
        assert sequence.chars(int(sequence.turns[1].tokens[-1]), 1)[1] == len(sequence.turns[1].text)


def test_turns_beyond_the_context_are_dropped_and_none_is_too_long() -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello there"), ("user", "ok " * 50), ("assistant", "fine"))
    assert texts(renderer(T.CHATML, context=40), sample) == ["Hello there"]
    made = renderer(T.CHATML, context=10)
    total = len(rendered(renderer(T.CHATML), sample).sequences[0].ids)
    (skip,) = made.render([sample])
    assert isinstance(skip, Skip)
    assert skip.code == "too_long"
    assert skip.message == f"no answer begins within the model's context: {total} tokens, 10 fit"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["a", " ", "\n", "漢", "<|im_end|>", "<think>", "</think>", "<|", "zqSentinel"])
def test_a_long_unbroken_answer_is_rendered(kind: str, unit: str) -> None:
    """What a quadratic step would need minutes for; `bench/tokenising.py --unbroken` has the figures."""
    made = renderer(T.CHATML, kind)
    sample = chat(("user", "Hi"), ("assistant", "x" + unit * (40_000 // len(unit))))
    (sequence,) = rendered(made, sample).sequences
    assert sequence.turns[0].text == sample.turns[1].content[: len(sequence.turns[0].text)]
    assert len(sequence.turns[0].tokens) > 1000


def test_a_long_conversation_is_rendered() -> None:
    pairs = [turn for n in range(1000) for turn in (("user", f"q{n}"), ("assistant", f"a{n}"))]
    for template in (T.CHATML, T.R1, T.QWEN3):
        assert len(texts(renderer(template, context=10**6), chat(*pairs))) == 1000
    thoughtful = [*pairs, ("user", "q"), ("assistant", "<think>hm</think>ok")]
    assert len(texts(renderer(T.QWEN3, context=10**6), chat(*thoughtful))) == 1001
    assert refusal(renderer(T.LOUD, context=10**6), chat(*pairs)) == "no_response_mask"


def test_beyond_a_length_the_lost_tokens_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello there, you. " * 500))
    exact = rendered(renderer(T.CHATML, context=100), sample)
    monkeypatch.setattr(drafts, "ENCODED_CHARS", 1000)
    capped = rendered(renderer(T.CHATML, context=100), sample)
    assert capped.sequences[0].ids.tolist() == exact.sequences[0].ids.tolist()
    assert capped.tokens_lost == exact.tokens_lost
    monkeypatch.setattr(drafts, "ENCODED_CHARS", 10)  # 40 characters a token of context are kept all the same
    assert (
        rendered(renderer(T.CHATML, context=100), sample).sequences[0].ids.tolist() == exact.sequences[0].ids.tolist()
    )


def test_half_a_surrogate_pair_costs_one_row() -> None:
    good = chat(("user", "Hi"), ("assistant", "Hello"))
    bad = chat(("user", "Hi"), ("assistant", "He\ud800llo"))
    first, second, third = renderer(T.CHATML).render([good, bad, good])
    assert isinstance(second, Skip)
    assert second.code == "bad_text"
    assert first.sequences[0].ids.tolist() == third.sequences[0].ids.tolist()  # type: ignore[union-attr]
    assert renderer(T.CHATML).show(bad) == []


def test_odd_texts_render() -> None:
    made = renderer(T.CHATML)
    for text in ("\x00", "\x1b[31m", "\u202eabc", "e\u0301", "\ufeffx", "🏳️‍🌈", "\u2028", "\x85", "ﬁ"):
        assert texts(made, chat(("user", text), ("assistant", f"a{text}b"))) == [f"a{text}b"]


def test_no_answer_and_no_messages_are_refused() -> None:
    made = renderer(T.CHATML)
    assert refusal(made, chat(("user", "Hi"))) == "no_answer_tokens"
    assert refusal(made, chat(("user", "Hi"), ("assistant", ""))) == "no_answer_tokens"
    assert refusal(made, chat()) == "no_answer_tokens"


LOOP = "{% for i in range(9999) %}" * 3 + "BODY" + "{% endfor %}" * 3


def test_a_template_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.3)
    made = renderer(LOOP.replace("BODY", ""))
    (skip,) = made.render([chat(("user", "Hi"), ("assistant", "Hello"))])
    assert (skip.code, "took longer than" in skip.message) == ("template_failed", True)  # type: ignore[union-attr]
    monkeypatch.undo()
    assert texts(renderer(T.CHATML), chat(("user", "Hi"), ("assistant", "Hello"))) == ["Hello"]
    assert threading.active_count() < 20


def test_a_template_that_floods_is_stopped() -> None:
    made = renderer(LOOP.replace("BODY", "flood"))
    (skip,) = made.render([chat(("user", "Hi"), ("assistant", "Hello"))])
    assert (skip.code, "wrote more than" in skip.message) == ("template_failed", True)  # type: ignore[union-attr]


def test_a_template_that_stops_on_more_rows_than_it_renders_is_given_up() -> None:
    flood = chat(("user", "flood"), ("assistant", "Hello"))
    fine = chat(("user", "Hi"), ("assistant", "Hello"))
    template = "{% if messages[0].content == 'flood' %}{{ 'a' * 10**7 }}{% endif %}" + T.CHATML
    for rows in ([flood] * 2, [fine] * 3 + [flood] * 3, [fine, flood, flood, fine, fine, flood]):
        skips = [made.code for made in renderer(template).render(rows) if isinstance(made, Skip)]
        assert skips == ["template_failed"] * rows.count(flood)
    with pytest.raises(ModelError, match="was stopped on 3 rows and rendered 2"):
        renderer(template).render([fine, fine, flood, flood, flood])


def test_garbage_is_collected_after_rendering_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = renderer(T.CHATML), []
    encode = made.tokenizer.encode
    monkeypatch.setattr(made.tokenizer, "encode", lambda texts: seen.append(gc.isenabled()) or encode(texts))
    for on in (gc.enable, gc.disable):
        on()
        before = gc.isenabled()
        made.render([chat(("user", "Hi"), ("assistant", "Hello"))])
        assert (gc.isenabled(), seen.pop()) == (before, False)
    gc.enable()


@pytest.mark.parametrize(
    "attack",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ strftime_now.__globals__.os }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
    ],
)
def test_the_sandbox_holds(attack: str) -> None:
    assert refusal(renderer(attack), chat(("user", "Hi"), ("assistant", "Hello"))) == "template_failed"


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 900 + "]" * 900])
def test_arguments_that_nest_without_end_are_a_text(text: str) -> None:
    assert calls._changed(text) != text


def test_changed_arguments_differ_in_every_value() -> None:
    value = {"a": [1, 2.5, None, True], "b": {"c": "x"}, "d": '{"e": 3}'}
    mark = calls._MARK
    assert calls._changed(value) == {
        "a" + mark: [2, 3.5, mark, mark],
        "b" + mark: {"c" + mark: "x" + mark},
        "d" + mark: f'{{"e{mark}": 4}}',
    }
