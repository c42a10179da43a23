"""Each way that stock templates behave, and the rung of the ladder it stands on."""

from __future__ import annotations

import pytest

from screen.data.sample import Sample
from screen.errors import ModelError, UsageError
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import Tokenizer
from tests.rendering import templates as T
from tests.rendering.toys import KINDS, call, chat, fast, refusal, rendered, renderer, texts, turn

TALK = chat(("user", "Hi"), ("assistant", " Hello \n"), ("user", "And?"), ("assistant", "ok <b>"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("template", "rung", "expected"),
    [
        (T.CHATML, "sentinel", [" Hello \n", "ok <b>"]),
        (T.QWEN25, "sentinel", [" Hello \n", "ok <b>"]),
        (T.PHI3, "sentinel", [" Hello \n", "ok <b>"]),
        (T.R1, "sentinel", [" Hello \n", "ok <b>"]),
        (T.LLAMA3, "sentinel", ["Hello", "ok <b>"]),
        (T.GEMMA, "sentinel", ["Hello", "ok <b>"]),
        (T.VICUNA, "sentinel", [" Hello \n", " ok <b>"]),
        (T.GENERATION, "generation", [" Hello \n", "ok <b>"]),
        (None, "sentinel", [" Hello \n", "ok <b>"]),
    ],
)
def test_the_answer_as_rendered_counts(template: str | None, rung: str, expected: list[str], kind: str) -> None:
    made = renderer(template, kind)
    assert texts(made, TALK) == expected
    assert rendered(made, TALK).rung == made.facts()["rung"] == rung
    shown = [text for text, scored in made.show(TALK) if scored]
    assert [text[: len(e)] for text, e in zip(shown, expected, strict=True)] == expected


@pytest.mark.parametrize("template", [T.HOPELESS, T.LOUD])
def test_a_template_that_rewrites_its_answers_is_refused(template: str) -> None:
    assert refusal(renderer(template), TALK) == "no_response_mask"
    assert renderer(template).facts()["rung"] is None


def test_a_template_that_lays_stand_ins_out_in_another_way_stands_on_the_last_rung() -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello there"), ("user", "And?"), ("assistant", "ok then"))
    assert rendered(renderer(T.FUSSY), sample).rung == "prefix"
    assert texts(renderer(T.FUSSY), sample) == ["Hello there", "ok then"]
    twice = chat(("user", "Hi"), ("assistant", "one"), ("user", "And?"), ("assistant", "o n"))
    assert refusal(renderer(T.FUSSY), twice) == "no_response_mask"  # "(one word) one": which of the two is the answer?


def test_a_template_that_ends_each_render_in_its_own_way_has_no_prefix() -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello there"))
    assert texts(renderer(T.FUSSY), sample) == ["Hello there"]
    assert refusal(renderer(T.FUSSY + "END"), sample) == "no_response_mask"


@pytest.mark.parametrize("kind", KINDS)
def test_a_space_of_the_template_counts_only_as_part_of_a_first_token(kind: str) -> None:
    made = renderer(T.MISTRAL, kind)
    first, second = texts(made, TALK)
    assert first == (" Hello" if kind == "pieces" else "Hello")  # only there are the two one token
    assert second == " ok <b>"


def test_the_system_message_goes_where_the_template_puts_it() -> None:
    sample = chat(("system", " Be kind. "), ("user", "Hi"), ("assistant", "Hello"))
    for template in (T.LLAMA3, T.GEMMA, T.QWEN25):
        pieces = renderer(template).show(sample)
        assert "Be kind." in pieces[0][0]
        assert [text for text, scored in pieces if scored] == ["Hello"]


@pytest.mark.parametrize(
    ("template", "turns", "reason"),
    [
        (T.GEMMA, [("user", "a"), ("user", "b"), ("assistant", "c")], "Conversation roles must alternate"),
        (T.MISTRAL, [("system", "s"), ("user", "b"), ("assistant", "c")], "Only user and assistant roles"),
        ("{{ messages[9].content }}", [("user", "b"), ("assistant", "c")], "no element 9"),
    ],
)
def test_a_template_that_raises_skips_the_row(template: str, turns: list[tuple[str, str]], reason: str) -> None:
    (skip,) = renderer(template).render([chat(*turns)])
    assert (skip.stage, skip.code) == ("render", "template_failed")  # type: ignore[union-attr]
    assert reason in skip.message  # type: ignore[union-attr]


def thoughts(sample: Sample, template: str = T.QWEN3) -> list[tuple[str, str | None]]:
    (sequence,) = rendered(renderer(template), sample).sequences
    return [(t.text, t.text[slice(*t.thought)] if t.thought else None) for t in sequence.turns]


def test_a_thought_in_the_content_is_scored_and_marked() -> None:
    sample = chat(("user", "Hi"), ("assistant", "<think>hm</think>Hello"))
    assert thoughts(sample, T.CHATML) == [("hm</think>Hello", "hm")]
    sample = chat(("user", "Hi"), ("assistant", "<reasoning>\nhm\n</reasoning>\nHello"))
    assert thoughts(sample, T.CHATML)[0][1].strip() == "hm"  # type: ignore[union-attr]


def test_qwen3_keeps_the_last_thought_only() -> None:
    sample = chat(
        ("user", "a"), ("assistant", "<think>\nx\n</think>\n\none"),
        ("user", "b"), ("assistant", "<think>\ny\n\n</think>\ntwo "),
    )  # fmt: skip
    assert thoughts(sample) == [("one", None), ("y\n</think>\n\ntwo ", "y")]


def test_reasoning_apart_is_scored_where_the_template_writes_it() -> None:
    sample = chat(
        ("user", "a"), turn("assistant", "one", reasoning="x"), ("user", "b"), turn("assistant", "two", reasoning="y\n")
    )
    assert thoughts(sample) == [("one", None), ("y\n</think>\n\ntwo", "y")]
    assert thoughts(sample, T.CHATML) == [("one", None), ("two", None)]


def test_an_empty_thought_of_the_template_belongs_to_the_prompt() -> None:
    pieces = renderer(T.QWEN3).show(chat(("user", "Hi"), ("assistant", "Hello")))
    assert pieces[0][0].endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert pieces[1] == ("Hello", True)


def test_a_template_that_reads_the_questions_is_followed() -> None:
    question = "<tool_response>\n1\n</tool_response>"
    sample = chat(("user", "a"), turn("assistant", "one", reasoning="x"), ("user", question), ("assistant", "two"))
    assert thoughts(sample) == [("x\n</think>\n\none", "x"), ("two", None)]
    assert rendered(renderer(T.QWEN3), sample).rung == "sentinel"
    greets = "{% if messages[0].content == 'Hi' %}Greeting. {% endif %}" + T.CHATML
    sample = chat(("user", "Hi"), ("assistant", "Use the </think> tag"))
    assert (thoughts(sample, greets), rendered(renderer(greets), sample).rung) == (
        [(sample.turns[1].content, None)],
        "sentinel",
    )


@pytest.mark.parametrize(
    ("template", "written"),
    [
        (T.QWEN25, '<tool_call>\n{"name": "f", "arguments": {"a": "<|im_end|>\\n"}}\n</tool_call>'),
        (T.LLAMA3, '{"name": "f", "parameters": {"a": "<|im_end|>\\n"}}'),
        (None, '{"type": "function", "function": {"name": "f", "arguments": {"a": "<|im_end|>\\n"}}}'),
    ],
)
def test_a_tool_call_is_part_of_the_answer(template: str | None, written: str) -> None:
    asked = turn("assistant", tool_calls=(call("f", {"a": "<|im_end|>\n"}),))
    sample = chat(("user", "Hi"), asked, ("tool", 'x "42"\n'), ("assistant", "Done"), tools=({"name": "f"},))
    assert texts(renderer(template), sample) == [written, "Done"]


def test_text_and_tool_call_are_one_answer() -> None:
    asked = turn("assistant", "Let me see", tool_calls=(call("f", {}), call("g", {})))
    sample = chat(("user", "Hi"), asked, ("tool", "1"), ("tool", "2"), ("assistant", "Done"))
    first, last = texts(renderer(T.QWEN25), sample)
    assert first.startswith("Let me see\n<tool_call>")
    assert first.endswith('{"name": "g", "arguments": {}}\n</tool_call>')
    assert last == "Done"


@pytest.mark.parametrize("template", [T.QWEN25, T.QWEN3, None])
def test_a_conversation_may_begin_with_a_call(template: str | None) -> None:
    asked = turn("assistant", tool_calls=(call("f", {"a": "b"}),))
    alone = texts(renderer(template), chat(asked))
    assert texts(renderer(template), chat(asked, ("tool", "1"), ("assistant", "Done"))) == [*alone, "Done"]
    assert '{"a": "b"}' in alone[0]
    assert (alone[0][0] + alone[0][-1]) == ("{}" if template is None else "<>")


def test_a_call_with_text_that_the_template_escapes_is_there_all_the_same() -> None:
    asked = turn("assistant", tool_calls=(call("f", {"a": ['say "hi"\n', {"b": "é"}]}), call("g", {"n": 1})))
    sample = chat(("user", "Hi"), asked, ("tool", "1"), ("assistant", "Done"))
    assert rendered(renderer(T.QWEN25), sample).dropped == {}
    other = turn("assistant", tool_calls=(call("f", {"a": "b"}), call("g", {"c": "d"})))
    assert rendered(renderer(T.LLAMA3), chat(("user", "Hi"), other)).dropped == {"tool_calls": 1}  # it writes the first


def test_calls_without_anything_between_them_cannot_be_told_apart() -> None:
    asked = [turn("assistant", tool_calls=(call(name, {"a": "b"}),)) for name in "fg"]
    assert refusal(renderer(T.QWEN25), chat(("user", "Hi"), *asked, ("tool", "1"))) == "no_response_mask"


def test_tools_that_the_template_does_not_write_are_counted() -> None:
    sample = chat(("user", "Hi"), ("assistant", "ok"), tools=({"name": "g99"}, {"function": {"name": "h99"}}))
    for before, dropped in (("", {"tools": 2}), ("{{ tools[0].name }}", {}), ("{{ tools[1].function.name }}", {})):
        assert rendered(renderer(before + T.CHATML), sample).dropped == dropped


def test_how_texts_are_rendered_is_on_record() -> None:
    made = renderer(T.GENERATION, context=99, end_of_turn=True, document_window=31, document_prompt=7)
    assert made.facts() == {
        "template": "tokenizer",
        "template_sha256": made.template.sha256,
        "rung": "generation",
        "date_in_template": "2024-07-26",
        "end_of_turn": True,
        "context": 99,
        "document_window": 31,
        "document_prompt": 7,
        "prefix_ids": [0],
    }
    plain = renderer(None).facts()
    assert (plain["end_of_turn"], plain["document_window"], plain["document_prompt"]) == (False, 512, 64)


def test_text_of_special_tokens_is_counted_once_a_place() -> None:
    sample = chat(
        turn("user", "<|im_end|><|im_end|> </s> <think>"), turn("assistant", "<|x|> ok", reasoning="<|im_start|>")
    )
    assert rendered(renderer(T.CHATML), sample).special_text == 4
    assert rendered(renderer(T.CHATML + "{#- <|x|> -#}"), sample).special_text == 5
    assert (
        rendered(renderer(T.CHATML + "{#- <|x|> <|x|>|> -#}"), chat(("user", "a"), ("assistant", "b"))).special_text
        == 0
    )


def test_row_settings_reach_the_template() -> None:
    template = "{{ style }}" + T.CHATML
    sample = chat(("user", "Hi"), ("assistant", "Hello"), template_kwargs={"style": "dry"})
    assert renderer(template).show(sample)[0][0].startswith("dry<|im_start|>")


def test_the_plain_template_starts_with_bos() -> None:
    sample = chat(("user", "Hi"), ("assistant", "Hello"))
    made = renderer(None)
    assert made.facts()["template"] == "plain"
    assert made.show(sample)[:2] == [("<s>", False), ("User:\nHi\n\nAssistant:\n", False)]
    assert renderer(None, "pieces").show(sample)[0] == ("User:\nHi\n\nAssistant:\n", False)
    (sequence,) = rendered(made, sample).sequences
    assert sequence.ids[0] == 0
    assert made.tokenizer.decode(sequence.ids[sequence.turns[0].tokens]) == "Hello"


def test_a_template_file_takes_the_place_of_the_tokenizers_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    tokenizer = Tokenizer(fast(T.CHATML))
    (tmp_path / "chat.jinja").write_text(T.PHI3)
    made = load_template(tokenizer, str(tmp_path / "chat.jinja"))
    assert made.render([{"role": "user", "content": "Hi"}]) == "<|user|>\nHi<|end|>\n</s>"
    assert made.name.endswith("chat.jinja")
    with pytest.raises(UsageError, match="cannot be read"):
        load_template(tokenizer, str(tmp_path / "absent.jinja"))
    (tmp_path / "bad.jinja").write_text("{% for %}")
    with pytest.raises(ModelError, match="not valid Jinja"):
        load_template(tokenizer, str(tmp_path / "bad.jinja"))


def test_named_templates_are_chosen_as_transformers_does() -> None:
    hf = fast()
    hf.chat_template = {"default": T.CHATML, "tool_use": T.QWEN25}
    made = load_template(Tokenizer(hf))
    assert "# Tools" not in made.render([{"role": "user", "content": "Hi"}])
    assert "# Tools" in made.render([{"role": "user", "content": "Hi"}], [{"name": "f"}])
    hf.chat_template = {"rag": T.CHATML}
    with pytest.raises(ModelError, match="no default"):
        load_template(Tokenizer(hf))
