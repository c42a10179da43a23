"""Where the texts of messages stand in a rendered text: stand-ins, alignment, thoughts within content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen.data.sample import Turn
from screen.rendering.ladder import frame as render_frame
from screen.rendering.ladder.align import BASE, Field, Spot, align, common_prefix, read_skeleton, sentinel, unused_base
from screen.rendering.messages import all_texts, conversation, is_simple, masked, message, turn_fields
from tests.rendering import templates as T
from tests.rendering.toys import call, chat, renderer, texts, turn

A, B = (0, "c"), (1, "c")
SHORT = st.text("ab", max_size=6)


def placed(real: str, first: str, second: str) -> dict[tuple[int, str], Spot] | None:
    """Two texts between `[`, `|` and `]`."""
    skeleton = read_skeleton(f"[{sentinel(BASE, A)}|{sentinel(BASE, B)}]", BASE)
    assert skeleton is not None
    return align(skeleton, {A: Field(A, first), B: Field(B, second)}, real)


@pytest.mark.parametrize(("written", "shift"), [(" \n x y \n ", 0), ("x y", 3), (" \n x y", 0), ("x y \n ", 3)])
def test_a_template_may_trim_one_text_and_not_another(written: str, shift: int) -> None:
    end = 1 + len(written)
    assert placed(f"[{written}| z ]", " \n x y \n ", " z ") == {A: Spot(1, end, shift), B: Spot(end + 1, end + 4, 0)}


@pytest.mark.parametrize(
    ("written", "shift"), [("\n x \n", 0), (" x ", 1), ("\n x ", 0), (" x \n", 1), (" x", 1), ("x ", 2)]
)
def test_a_template_may_trim_lines_alone(written: str, shift: int) -> None:
    found = placed(f"[{written}| z ]", "\n x \n", " z ")
    assert found is not None
    assert found[A] == Spot(1, 1 + len(written), shift)


def test_texts_that_are_all_trimmed_know_where_they_began() -> None:
    assert placed("[x|z]", " \n x ", "z  ") == {A: Spot(1, 2, 3), B: Spot(3, 4, 0)}


@pytest.mark.parametrize(("written", "shift"), [('é\\"', -1), ('\\u00e9\\"', -1)])
def test_an_escaped_text_has_no_characters_one_to_one(written: str, shift: int) -> None:
    assert placed(f"[{written}|z]", 'é"', "z") == {
        A: Spot(1, 1 + len(written), shift),
        B: Spot(len(written) + 2, len(written) + 3, 0),
    }


@pytest.mark.parametrize("real", ["[x|z", "[x|z]]", "(x|z]", "[x|y]", "[x |z]", "x|z]", "[x||z]", ""])
def test_one_character_that_differs_is_enough_to_prove_nothing(real: str) -> None:
    assert placed(real, "x", "z") is None
    assert placed("[x|z]", "x", "z") is not None


def test_a_text_rendered_twice_has_no_skeleton() -> None:
    mark = sentinel(BASE, A)
    assert read_skeleton(f"{mark} {mark}", BASE) is None
    made = read_skeleton(f"<{mark}>{sentinel(BASE, (12, 'r'))}", BASE)
    assert made is not None
    assert (made.pieces, made.keys) == (("<", ">", ""), (A, (12, "r")))
    assert {made.text[slice(*span)] for span in made.spans.values()} == {mark, sentinel(BASE, (12, "r"))}


@pytest.mark.parametrize(
    ("texts", "base"),
    [
        (["Hi"], BASE),
        ([BASE], BASE + "1q"),
        ([BASE + "1q"], BASE + "2q"),
        ([BASE + "2q", BASE], BASE + "1q"),
        ([f"{BASE}1q {BASE}3q", BASE + "2q"], BASE + "4q"),
    ],
)
def test_a_stand_in_is_one_that_no_text_holds(texts: list[str], base: str) -> None:
    assert unused_base(texts) == base
    assert not any(sentinel(base, A) in text for text in texts)


@given(SHORT, SHORT)
def test_what_two_texts_begin_with(a: str, b: str) -> None:
    assert common_prefix(a, b) == sum(b.startswith(a[:n]) for n in range(1, len(a) + 1))


@pytest.mark.parametrize(
    ("content", "strict", "loose"),
    [
        ("<think>hm</think>ok", ("hm", "ok"), ("hm", "ok")),
        (" \n<reasoning>hm</reasoning>ok", ("hm", "ok"), ("hm", "ok")),
        ("hm</think>ok", (None, "hm</think>ok"), ("hm", "ok")),
        ("hm\n</think>ok", ("hm\n", "ok"), ("hm\n", "ok")),
        ("hm</think>\nok", ("hm", "\nok"), ("hm", "\nok")),
        ("hm</think>", ("hm", None), ("hm", None)),
        ("</think>ok", (None, "ok"), (None, "ok")),
        ("a <think>hm</think>ok", (None, "a <think>hm</think>ok"), ("hm", "ok")),
        ("a <think>hm\n</think>\nok", (None, "a <think>hm\n</think>\nok"), ("hm\n", "\nok")),
        ("<think>a</think>b</think>c", ("a", "b</think>c"), ("a", "b</think>c")),
        ("<think>hm</thinking>ok", (None, "<think>hm</thinking>ok"), ("<think>hm", "ok")),
        ("ok</b>", (None, "ok</b>"), (None, "ok</b>")),
        ("", (None, None), (None, None)),
    ],
)
def test_a_thought_in_the_content_is_told_from_a_tag_that_is_spoken_of(
    content: str, strict: tuple[str | None, str | None], loose: tuple[str | None, str | None]
) -> None:
    for how, expected in ((True, strict), (False, loose)):
        fields = turn_fields(4, Turn("assistant", content), how)
        found = {field.key[1]: field.text for field in fields}
        assert (found.get("t"), found.get("c")) == expected
        assert all(content[f.offset :].startswith(f.text) and f.key[0] == 4 for f in fields)
    assert [f.key for f in turn_fields(0, Turn("user", content))] == ([A] if content else [])


def test_a_blank_thought_stays_as_it_is() -> None:
    assert [f.key[1] for f in turn_fields(0, Turn("assistant", "<think>\n</think>ok"))] == ["c"]
    assert [f.key[1] for f in turn_fields(0, Turn("assistant", "ok", reasoning=" \n"))] == ["c"]
    assert turn_fields(0, Turn("assistant", "ok", reasoning="hm"))[0] == Field((0, "r"), "hm", -1)


def test_stand_ins_take_the_place_of_texts_and_of_nothing_else() -> None:
    said = Turn("assistant", "<think>hm</think>ok\n", reasoning="so", name="n")
    made = masked(message(said), turn_fields(3, said), BASE)
    assert made == {
        "role": "assistant",
        "content": f"<think>{BASE}t3x</think>{BASE}c3x",
        "reasoning_content": f"{BASE}r3x",
        "thinking": f"{BASE}r3x",
        "name": "n",
    }


@pytest.mark.parametrize(
    ("said", "simple"),
    [
        (Turn("assistant", "ok"), True),
        (Turn("assistant", "a</b>"), True),
        (Turn("assistant", "a <think> b"), True),
        (Turn("assistant", "a</think>b"), False),
        (Turn("assistant", ""), False),
        (Turn("assistant", "ok", reasoning=""), False),
        (Turn("assistant", "ok", tool_calls=(call("f", {}),)), False),
    ],
)
def test_an_answer_is_simple_where_it_is_nothing_else(said: Turn, simple: bool) -> None:
    assert is_simple(said) is simple


def test_messages_are_what_a_trainer_hands_over() -> None:
    assert message(Turn("user", "Hi")) == {"role": "user", "content": "Hi"}
    assert message(Turn("tool", "", name="f", reasoning="")) == {
        "role": "tool", "content": "", "name": "f", "reasoning_content": "", "thinking": "",
    }  # fmt: skip
    talk = conversation(
        chat(
            ("user", "Hi"),
            Turn("assistant", "", tool_calls=(call("f", {"a": ["b", {"c": 1}]}),)),
            tools=({"name": "g"},),
            template_kwargs={"style": "dry"},
        )
    )
    assert talk.messages[1]["tool_calls"] == [call("f", {"a": ["b", {"c": 1}]})]
    assert (talk.tools, talk.kwargs) == (({"name": "g"},), {"style": "dry"})
    assert {"Hi", "f", "a", "b", "c", "g", "style", "dry"} <= set(all_texts(talk))


def test_a_skeleton_is_kept_for_conversations_of_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    made = renderer("{{ style }}{% if tools %}{{ tools | length }}{% endif %}" + T.CHATML)
    renders: list[object] = []
    real = made.template.render
    monkeypatch.setattr(made.template, "render", lambda *args, **more: renders.append(args) or real(*args, **more))
    talk = [("user", "Hi"), ("assistant", "Hello")]
    forms = [chat(*talk), chat(*talk, tools=({"name": "f"},)), chat(*talk, template_kwargs={"style": "dry"})]
    forms += [
        chat(*talk, tools=({"name": "f"}, {"name": "g"})),
        chat(*talk, *talk),
        chat(("user", ""), ("assistant", "Hello")),
        chat(turn("user", "Hi", name="n"), talk[1]),
    ]
    expected = [texts(made, sample) for sample in forms]
    assert expected == [["Hello"]] * 4 + [["Hello"] * 2] + [["Hello"]] * 2
    renders.clear()
    assert [texts(made, sample) for sample in forms] == expected
    assert not renders
    monkeypatch.setattr(render_frame, "_CACHED", 7)
    texts(made, chat(("system", "s"), *talk))  # the eighth: the oldest goes
    renders.clear()
    assert [texts(made, sample) for sample in forms[1:]] == expected[1:]
    assert not renders
    assert texts(made, forms[0]) == ["Hello"]
    assert len(renders) == 1


def test_a_long_skeleton_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = renderer(T.CHATML)
    frames = made._masker._skeletons._frames
    sample = chat(("user", "Hi"), ("assistant", "Hello"))
    length = len("<|im_start|>user\nzqSentinelc0x<|im_end|>\n<|im_start|>assistant\nzqSentinelc1x<|im_end|>\n")
    for limit, kept in ((length - 1, 0), (length, 1)):
        monkeypatch.setattr(render_frame, "_CACHED_CHARS", limit)
        assert (texts(made, sample), len(frames._frames)) == (["Hello"], kept)
