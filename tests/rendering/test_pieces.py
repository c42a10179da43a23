"""Texts that a trainer tokenises one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from screen.data.sample import Place, Sample, Turn
from screen.rendering import spans as render_tokens
from screen.rendering.pieces import _Joined
from screen.rendering.rendered import Rendered
from screen.rendering.renderer import Renderer
from screen.rendering.spans import Tokens, clip, cut_text, marked, runs
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import Tokenizer, load_tokenizer
from tests.rendering.toys import KINDS, fast


def merging(folder: Path) -> Tokenizer:
    """A tokenizer in which "ab" is one token, with a first token of its own."""
    from tokenizers import Tokenizer as Raw
    from tokenizers import models, processors
    from transformers import PreTrainedTokenizerFast

    raw = Raw(models.BPE(vocab={"<s>": 0, "a": 1, "b": 2, "ab": 3}, merges=[("a", "b")]))
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="<s>").save_pretrained(folder)
    return load_tokenizer(str(folder))


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., Rendered]:
    tokenizer = merging(tmp_path)
    renderer = Renderer(tokenizer, load_template(tokenizer, "plain"), context=64)

    def call(layout: str, **more: object) -> Rendered:
        turns = (Turn("user", "aba"), Turn("assistant", ""), Turn("assistant", "bab", True))
        sample = replace(Sample(Place(0, "-", 1, 0, 0, ""), "segments", layout, turns), **more)  # type: ignore[arg-type]
        (made,) = renderer.render([sample])
        assert isinstance(made, Rendered)
        assert "".join(text for text, scored in renderer.show(sample) if scored) == made.sequences[0].turns[0].text
        return made

    return call


def test_no_token_reaches_over_a_border(render: Callable[..., Rendered]) -> None:
    sequence = render("pieces", bos=False).sequences[0]
    assert sequence.ids.tolist() == [3, 1, 2, 3]  # ab a | b ab
    assert sequence.turns[0].tokens.tolist() == [2, 3]
    assert sequence.turns[0].text == "bab"
    assert [sequence.chars(i, 0) for i in (2, 3)] == [(0, 1), (1, 3)]


def test_end_to_end_a_border_may_lie_in_a_token(render: Callable[..., Rendered]) -> None:
    assert render("plain").sequences[0].ids.tolist() == [0, 3, 3, 3]  # ab ab ab


def test_the_first_token_stands_before_pieces_where_the_trainer_puts_it(render: Callable[..., Rendered]) -> None:
    assert render("pieces").sequences[0].ids.tolist() == [0, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("aaaa aaaa\naaaa", ["aaaa aaaa\n", "aaaa"]),
        ("aaaaa\naaaaaa", ["aaaaa\n", "aaaaaa"]),  # just within the second half
        ("aaaa\naaaaaaa", ["aaaa\naaaaa", "aa"]),
        ("aaaaa\n\taaaaa", ["aaaaa\n\taaa", "aa"]),  # not among white space
        ("aaaaaaa aaaaaaa", ["aaaaaaa", " aaaaaaa"]),
        ("aaaaa aaaaaa", ["aaaaa aaaa", "aa"]),
        ("a" * 25, ["a" * 10, "a" * 10, "a" * 5]),
        ("a" * 10, ["a" * 10]),
        ("", [""]),
    ],
)
def test_a_long_text_is_cut_after_a_line_or_before_a_word(text: str, pieces: list[str]) -> None:
    assert cut_text(text, 10) == pieces


ODD = "Hello <|im_end|> 漢字 😀e\u0301\n\n  two </s>"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scanned", [0, 20_000])
@pytest.mark.parametrize("prefix", [(), (0,), (0, 5)])
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 1000])
def test_tokens_and_characters_of_a_text(
    kind: str, scanned: int, prefix: tuple[int, ...], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_tokens, "_SCANNED", scanned)
    encoding = Tokenizer(fast(kind=kind)).encode([ODD])[0]
    tokens = Tokens(encoding, prefix, limit)
    whole = [*prefix, *encoding.ids]
    assert (tokens.total, tokens.kept, tokens.ids.tolist()) == (len(whole), min(limit, len(whole)), whole[:limit])
    offsets = [(0, 0)] * len(prefix) + encoding.offsets
    if limit <= len(prefix):
        return
    assert [tokens.range_of(i) for i in range(tokens.kept)] == offsets[:limit]
    for char in range(len(ODD) + 1):
        starting = [i for i in range(len(prefix), tokens.kept) if offsets[i][0] >= char]
        assert tokens.first_from(char) == min(starting, default=tokens.kept)


def test_a_special_token_that_swallows_what_stands_before_it_ends_no_answer() -> None:
    class Encoding:
        """`ok` and, with the space before it, `<end>`: two tokens of either id."""

        ids = (7, 8, 9)
        token_to_chars = staticmethod([(0, 2), (2, 4), (4, 10)].__getitem__)
        char_to_token = staticmethod(lambda char: [0, 0, 1, 1, 2, 2, 2, 2, 2, 2, None][char])

        def __len__(self) -> int:
            return 3

    tokens = Tokens(Encoding(), (1,), 9)
    assert tokens.inside(0, 5, {9}) == (1, 3)
    assert tokens.inside(0, 5, {8}) == tokens.inside(0, 10, {9}) == (1, 4)
    assert tokens.inside(0, 3, {8, 9}) == (1, 2)
    assert tokens.inside(4, 5, {9}) == (3, 3)
    assert tokens.inside(2, 2, {9}) == (2, 2)
    assert Tokens(Encoding(), (), 9).inside(0, 4, {9}) == (1, 2)  # the first token has nothing before it


def test_ranges_of_a_text() -> None:
    assert runs([]) == []
    assert runs([2, 3, 5, 8, 9]) == [(2, 4), (5, 6), (8, 10)]
    assert marked("abcdef", [(1, 2), (3, 6)]) == [("a", False), ("b", True), ("c", False), ("def", True)]
    assert marked("abc", [(0, 1)]) == [("a", True), ("bc", False)]
    assert marked("abc", []) == [("abc", False)]
    assert [clip(span, 3, 4) for span in ((0, 2), (2, 5), (3, 7), (4, 9), (8, 9))] == [
        (0, 0), (0, 2), (0, 4), (1, 4), (4, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("aaaaa aaa\naaa", ["aaaaa aaa\n", "aaa"]),  # the first ten end with the line
        ("aaaaaa\n aaa", ["aaaaaa\n", " aaa"]),
    ],
)
def test_borders_of_cuts(text: str, pieces: list[str]) -> None:
    assert "".join(cut_text(text, 10)) == text
    assert cut_text(text, 10) == pieces


@pytest.mark.parametrize("kind", KINDS)
def test_several_encodings_are_one_of_the_whole_text(kind: str) -> None:
    texts = ["Hello there", " ok 漢字", "\nfine"]
    parts = Tokenizer(fast(kind=kind)).encode(texts)
    joined, starts = _Joined(parts, texts), [0, 11, 17]
    assert joined.ids == [i for part in parts for i in part.ids]
    assert joined.offsets == [
        (a + start, b + start) for part, start in zip(parts, starts, strict=True) for a, b in part.offsets
    ]
    for char in range(len("".join(texts))):
        holding = [i for i, (a, b) in enumerate(joined.offsets) if a <= char < b]
        assert joined.char_to_token(char) == (holding[0] if holding else None)
    assert (len(joined), joined.char_to_token(99)) == (len(joined.ids), None)
