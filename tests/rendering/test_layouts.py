"""Documents in windows, raw segments, and rows that come tokenised."""

from __future__ import annotations

import dataclasses
import math

import pytest

from screen.data.sample import Layout, Sample, Skip
from screen.rendering.rendered import Rendered
from tests.rendering import templates as T
from tests.rendering.toys import KINDS, chat, refusal, rendered, renderer, texts, turn

TEXT = "Hello there, how are you today? I am fine.\n\nThe answer is 漢字 😀. " * 40


def document(text: str) -> Sample:
    return chat(turn("assistant", text), layout="document")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [9, 40, 130, 300, len(TEXT)])
def test_every_token_after_the_first_prompt_is_scored_once(kind: str, length: int) -> None:
    made = renderer(None, kind, document_window=32, document_prompt=8)
    text = TEXT[:length]
    ids = made.tokenizer.encode([text])[0].ids
    result = rendered(made, document(text))
    scored = [int(i) for s in result.sequences for i in s.ids[s.turns[0].tokens]]
    prompt = min(8, len(ids) // 2)
    assert scored == ids[prompt:]
    assert "".join(t.text for s in result.sequences for t in s.turns).endswith(text[-4:])
    sizes = {len(s.turns[0].tokens) for s in result.sequences}
    assert max(sizes) - min(sizes) <= 1
    assert all(len(s.ids) - len(made.tokenizer.prefix_ids) <= 32 for s in result.sequences)


def test_a_window_starts_with_bos_and_its_prompt() -> None:
    made = renderer(None, document_window=32, document_prompt=8)
    result = rendered(made, document(TEXT))
    assert result.rung == "document"
    assert {int(s.ids[0]) for s in result.sequences} == set(made.tokenizer.prefix_ids) == {0}
    assert {int(s.turns[0].tokens[0]) for s in result.sequences} == {9}
    assert [s.turns[0].turn for s in result.sequences] == list(range(len(result.sequences)))
    second = result.sequences[1]
    assert made.tokenizer.decode(second.ids[1:9]) == second.turns[0].prompt
    assert result.sequences[0].turns[0].text.endswith(second.turns[0].prompt)
    for i in second.turns[0].tokens[[0, -1]]:
        a, b = second.chars(int(i), 0)
        assert 0 <= a < b <= len(second.turns[0].text)


def test_a_short_document_is_halved_and_a_token_is_too_little() -> None:
    made = renderer(None)
    (sequence,) = rendered(made, document("Hello there")).sequences
    assert 1 <= len(sequence.turns[0].tokens) < len(sequence.ids) - 1
    assert refusal(made, document("Hello")) == refusal(made, document("")) == "no_answer_tokens"


def test_a_document_shows_its_first_prompt_and_the_rest() -> None:
    made = renderer(None, document_prompt=8)
    pieces = made.show(document(TEXT))
    assert [scored for _, scored in pieces] == [False, True]
    assert "".join(text for text, _ in pieces) == TEXT
    assert pieces[0][0] == rendered(made, document(TEXT)).sequences[0].turns[0].prompt
    assert made.show(document("Hello")) == [("Hello", False)]


@pytest.mark.parametrize("context", [16, 17, 33, 40])
@pytest.mark.parametrize("prompt", [4, 64])
def test_a_window_fits_the_context_and_there_are_no_more_than_needed(context: int, prompt: int) -> None:
    made = renderer(None, context=context, document_window=32, document_prompt=prompt)
    ids = made.tokenizer.encode([TEXT])[0].ids
    sequences = rendered(made, document(TEXT)).sequences
    room = min(32, context - 1)
    before = min(prompt, room // 2)
    assert [len(s.ids) - len(s.turns[0].tokens) for s in sequences] == [1 + before] * len(sequences)
    assert max(len(s.ids) for s in sequences) == 1 + room  # of this text
    assert len(sequences) == math.ceil((len(ids) - before) / (room - before))


def test_the_characters_of_a_window() -> None:
    (sequence,) = rendered(renderer(None), document("Hello there, how are you 漢字 today?")).sequences
    (scored,) = sequence.turns
    assert (scored.prompt + scored.text, scored.turn) == ("Hello there, how are you 漢字 today?", 0)
    ranges = [sequence.chars(i, 0) for i in range(len(sequence.ids))]
    assert set(ranges[: int(scored.tokens[0])]) == {(0, 0)}
    assert (ranges[int(scored.tokens[0])][0], ranges[-1][1]) == (0, len(scored.text))
    assert "".join(dict.fromkeys(scored.text[a:b] for a, b in ranges)) == scored.text


def test_a_document_without_a_prompt_has_nothing_to_compare_with() -> None:
    assert refusal(renderer(None, document_prompt=0), document("Hello there")) == "no_answer_tokens"
    assert refusal(renderer(None, context=2), document("Hello there, you")) == "no_answer_tokens"
    assert len(rendered(renderer(None, context=3), document("Hello there, you")).sequences) > 1


def test_long_documents_are_encoded_in_pieces_that_change_nothing() -> None:
    made = renderer(None)
    text = TEXT * 60
    assert len(text) > 150_000
    scored = [int(i) for s in rendered(made, document(text)).sequences for i in s.ids[s.turns[0].tokens]]
    assert scored == made.tokenizer.encode([text])[0].ids[64:]


def test_segments_are_laid_end_to_end() -> None:
    sample = chat(
        turn("user", "Q: how? "),
        ("assistant", "Hello."),
        turn("user", "\nA: ok"),
        ("assistant", " fine"),
        layout="plain",
    )
    made = renderer(T.CHATML)
    assert texts(made, sample) == ["Hello.", " fine"]
    assert [t.prompt for t in rendered(made, sample).sequences[0].turns] == ["Q: how? ", "\nA: ok"]
    assert [t.prompt_end == t.tokens[0] for t in rendered(made, sample).sequences[0].turns] == [True, True]
    assert "".join(text for text, _ in made.show(sample)) == "<s>Q: how? Hello.\nA: ok fine"


@pytest.mark.parametrize("layout", ["plain", "pieces"])
def test_ranges_of_a_segment_are_counted_from_its_start(layout: Layout) -> None:
    ranges = turn("assistant", "Hello there, you", spans=((0, 5), (13, 16)))
    sample = chat(
        turn("user", "Q: "), turn("assistant", "ok", scored=False), ranges, turn("assistant", ""), layout=layout
    )
    made = renderer(None, "unigram")
    assert texts(made, sample) == ["Hello there, you"]
    assert [text.strip() for text, scored in made.show(sample) if scored] == ["Hello", "you"]


def test_a_first_segment_that_is_scored_keeps_a_prompt_token() -> None:
    sample = chat(("assistant", "Hello there, you"), layout="plain")
    with_bos, without = (rendered(renderer(None, kind), sample).sequences[0] for kind in ("bytes", "unigram"))
    assert with_bos.turns[0].tokens[0] == without.turns[0].tokens[0] == 1
    assert with_bos.turns[0].text == "Hello there, you"
    assert len(without.turns[0].tokens) == len(without.ids) - 1


def given(ids: list[int], mask: list[int]) -> Sample:
    return dataclasses.replace(
        chat(layout="tokens"), token_ids=tuple(ids), token_mask=tuple(bool(flag) for flag in mask)
    )


def test_given_tokens_are_scored_by_their_mask() -> None:
    made = renderer(None)
    ids = made.tokenizer.encode(["Hello there, how are you 漢字 today?"])[0].ids
    mask = [i in (0, 2, 3, len(ids) - 2, len(ids) - 1) for i in range(len(ids))]
    result = rendered(made, given(ids, mask))
    (sequence,) = result.sequences
    assert (result.rung, sequence.ids.tolist()) == ("tokens", ids)
    assert [t.tokens.tolist() for t in sequence.turns] == [[2, 3], [len(ids) - 2, len(ids) - 1]]
    for number, scored in enumerate(sequence.turns):
        assert scored.text == made.tokenizer.decode([ids[i] for i in scored.tokens])
        assert "".join(scored.text[slice(*sequence.chars(int(i), number))] for i in scored.tokens) == scored.text
    assert "".join(text for text, _ in made.show(given(ids, mask))) == "Hello there, how are you 漢字 today?"
    assert [text for text, scored in made.show(given(ids, mask)) if scored] == [t.text for t in sequence.turns]


def test_given_tokens_that_cannot_be_scored() -> None:
    made = renderer(None, context=3)
    size = made.tokenizer.vocab_size
    assert refusal(made, given([1, size], [0, 1])) == refusal(made, given([1, -1], [0, 1])) == "bad_token_id"
    assert refusal(made, given([1, 2, 3], [1, 0, 0])) == refusal(made, given([], [])) == "no_answer_tokens"
    assert refusal(made, given([1, 2, 3, 4], [0, 0, 0, 1])) == "too_long"
    assert refusal(made, given([1, 2], [1])) == "no_response_mask"
    assert refusal(renderer(None, context=1), given([1, 2], [0, 1])) == "too_long"
    assert rendered(made, given([1, 2, 3, 4], [0, 0, 1, 1])).tokens_lost == 1
    assert rendered(made, given([0, size - 1], [0, 1])).tokens_lost == 0


def test_what_stands_before_given_tokens_is_their_prompt() -> None:
    made = renderer(None)
    ids = made.tokenizer.encode(["Hello there, how are you"])[0].ids
    (sequence,) = rendered(made, given(ids, [i in (2, 4) for i in range(len(ids))])).sequences
    decode = made.tokenizer.decode
    assert [t.prompt for t in sequence.turns] == [decode(ids[:2]), decode(ids[3:4])]
    assert [(t.turn, t.prompt_end) for t in sequence.turns] == [(0, 2), (1, 4)]
    assert [sequence.chars(i, 1) for i in (0, 3)] == [(0, 0), (0, 0)]
    assert sequence.chars(5, 1) == (len(sequence.turns[1].text),) * 2
    assert made.show(given(ids, [0, 1])) == [
        (decode(ids[:1]), False),
        (decode(ids[1:2]), True),
        (decode(ids[2:]), False),
    ]


def test_given_tokens_that_cannot_be_scored_say_why() -> None:
    made = renderer(None, context=3)
    for ids, mask, said in (
        ([1, 9999], [0, 1], "token id 9999 is not in the tokenizer's vocabulary of"),
        ([1, 2, 3, 4], [0, 0, 0, 1], "no scored token within the model's context: 3 of 4 tokens fit"),
        ([1, 2], [1], "2 token ids have a mask of 1"),
        ([1, 2], [1, 0], "the row's mask leaves no token to score"),
    ):
        (skip,) = made.render([given(ids, mask)])
        assert isinstance(skip, Skip)
        assert said in skip.message


def test_texts_are_tokenised_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = renderer(T.CHATML)
    samples = [chat(("user", "Why?"), ("assistant", f"Because of {i}.")) for i in range(9)]
    whole = [r.sequences[0].ids.tolist() for r in made.render(samples) if isinstance(r, Rendered)]
    calls: list[int] = []
    real = made.tokenizer.encode
    monkeypatch.setattr("screen.rendering.renderer.BATCH_CHARS", 250)
    monkeypatch.setattr(made.tokenizer, "encode", lambda texts: calls.append(sum(map(len, texts))) or real(texts))
    assert [r.sequences[0].ids.tolist() for r in made.render(samples) if isinstance(r, Rendered)] == whole
    assert len(whole) == 9
    assert len(calls) > 2
    assert max(calls) <= 250
    monkeypatch.setattr("screen.rendering.renderer.BATCH_CHARS", 3 * (calls[0] // 3))
    first = calls[0]
    calls.clear()
    made.render(samples)
    assert calls == [first] * 3  # three rows are just as long as may be, and all rows are as long
