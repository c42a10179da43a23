from __future__ import annotations

from pathlib import Path

import pytest

from screen.errors import ModelError
from screen.rendering.tokenizer import Tokenizer, load_tokenizer
from tests.rendering import templates as T
from tests.rendering.toys import fast


def test_a_saved_tokenizer_is_the_same_tokenizer(tmp_path: Path) -> None:
    hf = fast(T.CHATML)
    hf.save_pretrained(tmp_path)
    loaded, made = load_tokenizer(str(tmp_path)), Tokenizer(hf)
    assert loaded.fingerprint() == made.fingerprint()
    assert loaded.fingerprint() != Tokenizer(fast(T.CHATML, "pieces")).fingerprint()


def test_truncation_and_padding_leave_no_trace() -> None:
    hf = fast(T.CHATML)
    before = Tokenizer(hf).fingerprint()
    hf("Hello there", truncation=True, max_length=2)
    hf.backend_tokenizer.enable_padding(length=50)
    made = Tokenizer(hf)
    assert made.fingerprint() == before
    assert [len(e) for e in made.encode(["Hello there", "Hello"])] == [
        len(hf(t, add_special_tokens=False)["input_ids"]) for t in ("Hello there", "Hello")
    ]


def test_what_a_tokenizer_says_of_itself() -> None:
    made = Tokenizer(fast())
    assert made.vocab_size == len(made.hf)
    assert made.prefix_ids == (0,)
    assert Tokenizer(fast(kind="pieces")).prefix_ids == ()
    assert made.eos_ids == (1,)
    assert {"<|im_end|>", "</s>"} <= made.special_strings
    assert made.decode(made.encode(["Hello <|im_end|> ok"])[0].ids) == "Hello <|im_end|> ok"


def test_offsets_are_not_trimmed() -> None:
    """The post-processor of this tokenizer would make " there" begin at its "t"."""
    made = Tokenizer(fast())
    assert made.encode(["Hello there"])[0].offsets[1][0] == 5
    assert made.hf("Hello there", return_offsets_mapping=True)["offset_mapping"][2][0] == 6


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tokenizer can be loaded from") as caught:
        load_tokenizer(str(tmp_path / "absent"))
    assert "tokenizer.json" in caught.value.next_step
    with pytest.raises(ModelError, match="cannot map tokens to characters"):
        Tokenizer(object())
