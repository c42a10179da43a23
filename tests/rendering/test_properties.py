"""Random chats against the slow way: text by concatenation, tokens by the offsets of the whole encoding."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screen.rendering.rendered import Rendered
from tests.rendering import templates as T
from tests.rendering.toys import KINDS, chat, rendered, renderer, turn

RENDERERS = {(name, kind): renderer(T.TEMPLATES[name], kind) for name in T.TEMPLATES for kind in KINDS}
ODD = [
    "\n", "\n\n", " ", "  ", "\t", "\u3000", "Hello", "ok", "é", "e\u0301", "漢", "😀", "🏳️‍🌈", "ﬁ", "\x00", "\u200b",
    "<|im_end|>", "<|im_start|>assistant\n", "<|eot_id|>", "<end_of_turn>", "</s>", "<s>", "<think>", "</think>",
    "zqSentinelc1x", "{{ x }}", ".", "▁", "<unk>", "<0x0A>",
]  # fmt: skip
PLAIN = [text for text in ODD if "think" not in text]  # thoughts are tested apart
CONTENT = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=4)), max_size=6).map("".join)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def talks(draw: st.DrawFn, odd: list[str] = PLAIN) -> list[tuple[str, str]]:
    pairs = draw(st.integers(1, 3))
    content = st.lists(st.one_of(st.sampled_from(odd), st.text(max_size=4)), max_size=6).map("".join)
    system = [("system", draw(content))] if draw(st.booleans()) else []
    return system + [(role, draw(content)) for _ in range(pairs) for role in ("user", "assistant")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", T.TEMPLATES)
@QUICK
@given(messages=talks())
def test_scored_tokens_are_those_that_start_in_an_answer(name: str, kind: str, messages: list[tuple[str, str]]) -> None:
    made = RENDERERS[name, kind]
    text, spans = T.written(name, messages)
    offsets = made.tokenizer.encode([text])[0].offsets
    expected = [[i for i, (a, _) in enumerate(offsets) if start <= a < end] for start, end in spans]
    sample = chat(*messages)
    result = made.render([sample])[0]
    if not isinstance(result, Rendered):
        assert result.code == "no_answer_tokens"
        assert not any(expected)
        return
    (sequence,) = result.sequences
    assert sequence.ids.tolist() == made.tokenizer.encode([text])[0].ids
    assert [t.tokens.tolist() for t in sequence.turns] == [tokens for tokens in expected if tokens]
    kept = [span for span, tokens in zip(spans, expected, strict=True) if tokens]
    for number, (scored, (_, end)) in enumerate(zip(sequence.turns, kept, strict=True)):
        first, last = int(scored.tokens[0]), int(scored.tokens[-1])
        start = offsets[first][0]
        assert scored.text == text[start : min(end, offsets[last][1])]
        assert sequence.chars(first, number)[0] == 0
        assert sequence.chars(last, number)[1] == len(scored.text)
    shown = "".join(piece for piece, _ in made.show(sample))
    assert shown == text


@pytest.mark.parametrize("template", [T.CHATML, T.QWEN3, T.QWEN25, T.LLAMA3, T.R1])
@QUICK
@given(messages=talks(ODD), thought=CONTENT, answer=CONTENT)
def test_a_thought_never_reaches_into_another_turn(
    template: str, messages: list[tuple[str, str]], thought: str, answer: str
) -> None:
    made = renderer(template)
    sample = chat(*messages, ("user", "Hi"), ("assistant", f"<think>{thought}</think>{answer}"))
    result = made.render([sample])[0]
    if isinstance(result, Rendered):
        for scored in result.sequences[0].turns:
            assert scored.tokens[0] >= 1
            assert scored.thought is None or 0 <= scored.thought[0] < scored.thought[1] <= len(scored.text)
        assert "assistant\n" not in result.sequences[0].turns[-1].text.replace("<|im_start|>assistant\n", "")


@QUICK
@given(content=CONTENT, ranges=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=3))
def test_ranges_of_the_content_are_ranges_of_the_answer(content: str, ranges: list[tuple[int, int]]) -> None:
    made = renderer(T.LLAMA3)
    spans = tuple(sorted((a, min(b, len(content))) for a, b in ranges if a < min(b, len(content))))
    sample = chat(("user", "Hi"), turn("assistant", content, spans=spans))
    result = made.render([sample])[0]
    if isinstance(result, Rendered):
        (scored,) = result.sequences[0].turns
        assert len(set(scored.tokens.tolist())) == len(scored.tokens)
        assert scored.text in content.strip()


def test_the_reference_lays_out_what_the_templates_render() -> None:
    messages = [("system", " s "), ("user", " a\n"), ("assistant", " b "), ("user", "c"), ("assistant", "d")]
    for name in T.TEMPLATES:
        made = RENDERERS[name, "bytes"]
        assert "".join(piece for piece, _ in made.show(chat(*messages))) == T.written(name, messages)[0]
        assert rendered(made, chat(*messages)).rung == ("generation" if name == "generation" else "sentinel")
