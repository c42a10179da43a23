"""What a template writes is never scored: every family's template under every awkward conversation.

The templates in `families/` write around an answer what those of the models they name do. The rule: the scored text of
a turn is its own words, the space around them aside; its thought apart, or on record as dropped; its tool calls as the
template writes them, between header and end of turn. Exceptions are in tables, by name.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from screen.data.sample import Skip
from screen.rendering.ladder.masks import Masked, Masker, MaskRefused
from screen.rendering.templates.chat_template import load_template
from screen.rendering.thinking import thought_marks
from screen.rendering.tokenizer import Tokenizer
from tests.rendering.talks import TALKS, marked
from tests.rendering.toys import fast, renderer

FAMILIES = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "families").glob("*.jinja"))}
# These take any closing tag for the end of a thought, and cut what stands before it, or take that for the thought.
CUT_AT_A_TAG = {
    "deepseek-r1", "deepseek-v3.1", "glm-4.5", "glm-4.7", "minimax-m2", "qwen3", "qwen3.5",
}  # fmt: skip
# These write no tool calls: `Rendered.dropped` counts them.
NO_CALLS = {
    "alpaca", "chatml", "command-r", "gemma", "llama2", "llama3", "mistral-v1", "phi3", "phi4", "smollm3",
    "trl-training", "tulu", "vicuna",
}  # fmt: skip
# These write a turn's words or its calls, not both.
CALLS_ALONE = {"command-a", "harmony", "llama3.1", "mistral-v7", "solar-open"}
# What the templates themselves refuse.
REFUSED = {
    "gemma": {
        "call", "call_reasoning", "call_text", "consecutive", "only_assistant", "steps", "two_calls", "two_users",
    },
    "llama2": {"call", "call_reasoning", "call_text", "steps", "two_calls"},
    "llama3.1": {"two_calls"},
    "mistral-v1": {"call", "call_reasoning", "call_text", "steps", "system", "two_calls"},
}  # fmt: skip
_MARKS = re.compile(
    r"<[|｜](?!DSML|\"|tool|im_end|eot_id|end\|>|im_start|channel)[^<>]*>|\bassistant\b|\[/INST\]|</s>|It rains"
)


@cache
def _outcomes(family: str) -> dict[str, Masked | MaskRefused]:
    tokenizer = Tokenizer(fast(FAMILIES[family]))
    masker = Masker(load_template(tokenizer), tokenizer)
    return dict(zip(TALKS, masker.mask_all(list(TALKS.values())), strict=True))


def test_there_are_families_enough_and_each_says_which_it_is() -> None:
    assert len(FAMILIES) >= 25
    assert len(TALKS) >= 20
    assert all(text.startswith("{#- ") for text in FAMILIES.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scored_text_is_what_a_person_would_mark(family: str) -> None:
    for talk, made in _outcomes(family).items():
        if isinstance(made, MaskRefused):
            continue
        regions = {region.turn: region for region in made.regions}
        for i, turn in enumerate(TALKS[talk].turns):
            if turn.role != "assistant" or turn.tool_calls:
                continue
            thought, words = marked(talk, turn)
            region = regions.get(i)
            scored = "".join(made.text[a:b] for a, b in region.parts) if region else ""
            if talk == "tag_mentioned" and family in CUT_AT_A_TAG:
                words = "tag to close."
                thought = made.text[slice(*region.thought)].strip() if region and region.thought else ""
                assert thought in ("", "Use the")
            assert scored.strip() == words, (talk, i)
            written = made.text[slice(*region.thought)].strip() if region and region.thought else ""
            assert written == thought or (not written and made.dropped["reasoning"]), (talk, i)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("talk", ["call", "call_text", "call_last", "call_reasoning", "two_calls"])
def test_tool_calls_count_and_nothing_around_them(family: str, talk: str) -> None:
    made = _outcomes(family)[talk]
    if isinstance(made, MaskRefused):
        assert talk in REFUSED[family]
        return
    region = next((region for region in made.regions if region.turn == 1), None)
    parts = [made.text[a:b] for a, b in region.parts] if region else []
    called = [part for part in parts if "rain in Oslo" in part]
    if family in NO_CALLS:
        assert made.dropped["tool_calls"] == 1
        assert not called
        return
    assert len(called) == 1
    assert not _MARKS.search(called[0]), called
    assert ("Let me look." in "".join(parts)) == (talk == "call_text" and family not in CALLS_ALONE)
    assert made.dropped.get("answers", 0) == (talk == "call_text" and family in CALLS_ALONE)
    assert made.dropped.get("tool_calls", 0) == (talk == "two_calls" and family == "harmony")  # it writes the first
    assert ("sun" in called[0]) == (talk == "two_calls" and family != "harmony")


_JSON = '{{"name": "look_up", "arguments": {{"q": "{}"}}}}'
_ARGUMENTS = '{{"q": "{}"}}'
# A family's calls as they count: what stands before them, one of them, what stands between two, what stands after.
WRITTEN = {
    "command-a": ("[\n    ", '{{"tool_name": "look_up", "parameters": {{"q": "{}"}}}}', ",\n    ", "\n]"),
    "deepseek-r1": (
        "", 'look_up\n```json\n{{"q": "{}"}}\n```',
        "<｜tool▁call▁end｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>", "",
    ),
    "deepseek-v3.1": ("", _ARGUMENTS, "<｜tool▁call▁end｜><｜tool▁call▁begin｜>look_up<｜tool▁sep｜>", ""),
    "gemma4": ("", 'call:look_up{{q:<|"|>{}', '<|"|>}<tool_call|><|tool_call>', ""),
    "glm-4.7": (
        "", "<tool_call>look_up<arg_key>q</arg_key><arg_value>{}</arg_value></tool_call>", "", "",
    ),
    "granite": ("", f"<tool_call>\n{_JSON}\n</tool_call>", "\n", ""),
    "kimi-k2": ("", _ARGUMENTS, "<|tool_call_end|><|tool_call_begin|>abc123deg<|tool_call_argument_begin|>", ""),
    "minimax-m2": (
        "<minimax:tool_call>\n", '<invoke name="look_up">\n<parameter name="q">{}</parameter>\n</invoke>', "\n",
        "\n</minimax:tool_call>",
    ),
    "ministral-3": ("", _ARGUMENTS, "[TOOL_CALLS]look_up[ARGS]", ""),
    "mistral-v7": ("[", _JSON, ", ", "]"),
    "nemotron-nano": ("<TOOLCALL>[", _JSON, ", ", "]</TOOLCALL>"),
    "qwen2.5": ("", f"<tool_call>\n{_JSON}\n</tool_call>", "\n", ""),
    "qwen3": ("", f"<tool_call>\n{_JSON}\n</tool_call>", "\n", ""),
    "qwen3.5": (
        "", "<tool_call>\n<function=look_up>\n<parameter=q>\n{}\n</parameter>\n</function>\n</tool_call>", "", "",
    ),
    "seed-oss": (
        "", "<seed:tool_call>\n<function=look_up>\n<parameter=q>{}</parameter>\n</function>\n</seed:tool_call>", "\n",
        "",
    ),
    "solar-open": ("", _ARGUMENTS, "<|tool_call:name|>look_up<|tool_call:args|>", ""),
}  # fmt: skip


@pytest.mark.parametrize("family", WRITTEN)
def test_a_call_counts_from_its_first_character_to_its_last(family: str) -> None:
    before, one, between, after = WRITTEN[family]
    rain, sun = one.format("rain in Oslo"), one.format("sun")
    for talk in ("call", "call_text", "call_last", "call_reasoning", "two_calls"):
        made = _outcomes(family)[talk]
        assert isinstance(made, Masked)
        region = next(region for region in made.regions if region.turn == 1)
        said = "".join(made.text[a:b] for a, b in region.parts).replace("Let me look.", "").lstrip("\n")
        assert said == before + rain + (between + sun if talk == "two_calls" else "") + after


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in NO_CALLS])
def test_calls_in_several_steps_are_turns_of_their_own(family: str) -> None:
    made = _outcomes(family)["steps"]
    assert isinstance(made, Masked)
    said = {region.turn: "".join(made.text[a:b] for a, b in region.parts) for region in made.regions}
    assert list(said) == [1, 3, 5]
    assert said[1].replace("rain in Oslo", "sun") == said[3]
    assert ("rain in Oslo" in said[1], said[5].strip(), made.dropped) == (True, "Rain.", {})


@pytest.mark.parametrize("family", FAMILIES)
def test_only_what_a_template_refuses_is_refused(family: str) -> None:
    refused = {talk: made.code for talk, made in _outcomes(family).items() if isinstance(made, MaskRefused)}
    assert refused == dict.fromkeys(REFUSED.get(family, ()), "template_failed")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_ends_where_the_words_begin(family: str) -> None:
    """So the baseline response opens in the same channel, after the same empty thought."""
    made = renderer(FAMILIES[family])
    result = made.render([TALKS["plain"]])[0]
    assert not isinstance(result, Skip)
    (sequence,) = result.sequences
    (turn,) = sequence.turns
    assert turn.text.strip() == "Hello."
    assert turn.prompt_end == turn.tokens[0]
    assert made.tokenizer.decode(sequence.ids[turn.prompt_end :]).lstrip().startswith("Hello.")
    assert len(turn.thought_tokens) == 0


MARKS = {
    "command-a": None, "deepseek-v3.2": ("<think>", "</think>"), "glm-4.5": ("<think>", "</think>"),
    "glm-4.7": ("<think>", "</think>"), "minimax-m2": ("<think>", "</think>"), "ministral-3": ("[THINK]", "[/THINK]"),
    "harmony": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "qwen3": ("<think>", "</think>"), "qwen3.5": ("<think>", "</think>"), "chatml": None,
    "seed-oss": ("<seed:think>", "</seed:think>"), "solar-open": ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
}  # fmt: skip


@pytest.mark.parametrize("family", MARKS)
def test_how_a_family_writes_thoughts_is_read_from_its_template(family: str) -> None:
    found = thought_marks(load_template(Tokenizer(fast(FAMILIES[family]))))
    assert (tuple(found) if found else None) == MARKS[family]
