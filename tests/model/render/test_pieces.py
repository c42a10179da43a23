"""Texts that a trainer tokenises one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from screen.data.sample import Place, Sample, Turn
from screen.model.render import Renderer
from screen.model.render_tokens import cut_text
from screen.model.rendered import Rendered
from screen.model.template import load_template
from screen.model.tokenizer import Tokenizer, load_tokenizer


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
