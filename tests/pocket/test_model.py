"""The embedded model is small, loads as any model does, and reads any text."""

import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from research.pocket import observed
from research.pocket.corpus.chats import chats
from research.pocket.tokenizer import render
from research.pocket.train import make_references
from screen.building.cards import locks
from screen.building.workshop import Workshop
from screen.pocket import MODEL_DIR, VECTORS_DIR
from screen.vectors.files import load_vectors
from screen.vectors.persona import PersonaVector


def test_model_and_vectors_take_at_most_eight_megabytes() -> None:
    files = [path for folder in (MODEL_DIR, VECTORS_DIR) for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000


def test_it_loads_as_any_model_does() -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR)
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings == 1024
    assert model.config.tie_word_embeddings


def test_the_tokenizer_reads_and_writes_any_text() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    text = "Größe 雨 🙂\tzero\x00 \n\n  end"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_chat_template_writes_what_was_trained_on() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    for chat in islice(chats(30, 2), 30):
        messages = list(chat.messages)
        assert tokenizer.apply_chat_template(messages, tokenize=False) == render(messages)[0]
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_the_template_takes_tools_and_content_parts() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": "sky"}}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "blue"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert "user\nLook<" in text
    assert '"name": "look"' in text
    assert "tool\nblue<" in text


def test_cards_are_locked_to_the_model(shop: Workshop, vectors: dict[str, PersonaVector]) -> None:
    known = {name: value for name, value in locks(shop).items() if name not in ("revision", "dtype")}
    for vector in vectors.values():
        assert vector.card["model"] == known


def test_references_are_measured_anew_and_directions_stay(
    shop: Workshop, vectors: dict[str, PersonaVector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "CLEAN_ROWS", 12)
    copy = tmp_path / "vectors"
    shutil.copytree(VECTORS_DIR, copy)
    make_references(shop, copy)
    for again in load_vectors((str(copy),)):
        assert again.direction.tobytes() == vectors[again.trait].direction.tobytes()
        assert again.card["reference"]["rows"] == 12
        assert {**again.card, "reference": 0} == {**vectors[again.trait].card, "reference": 0}


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, screen.pocket; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
