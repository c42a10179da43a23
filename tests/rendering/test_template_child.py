"""Templates run in a child process: the same texts as transformers', and limits that hold whatever C call is busy."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from transformers.utils import chat_template_utils as theirs

from screen.data.sample import Skip
from screen.errors import ModelError
from screen.rendering.templates import child, sandbox
from screen.rendering.templates.chat_template import load_template
from screen.rendering.templates.language import _pinned_date, compile_template, run_template
from screen.rendering.templates.sandbox import Job, Rendering, TemplateCap, TemplateFailed, limits_absent, run_templates
from screen.rendering.tokenizer import Tokenizer
from tests.rendering import templates as T
from tests.rendering.toys import call, chat, fast, refusal, renderer, texts

CALL = {"role": "assistant", "content": "", "tool_calls": [call("f", {"a": "é <b>"})]}
TALKS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": " Hello \n"}],
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "<|im_end|>"}],
    [{"role": "user", "content": "a"}, CALL, {"role": "tool", "content": "1"}, {"role": "assistant", "content": "b"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nx\n</think>\n\ny"}] * 2,
    [{"role": "user", "content": "half \ud800 a pair, 漢字 😀\x00"}, {"role": "user", "content": ""}],
    [],
]
ROW = chat(("user", "Hi"), ("assistant", "Hello"))
BOMB = chat(("user", "bomb"), ("assistant", "Hello"))
ARMED = "{% if messages and 'bomb' in messages[0].content %}{% set n = 10**8 %}EVIL{% endif %}" + T.CHATML
EVILS = {
    "{{ 7 ** n }}": "took longer than",
    "{{ ('a' * n) * n }}": "memory",
    "{{ 'a' * n }}": "wrote more than",
    "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}": "took longer than",
    "{{ [0] * (n * 10) }}": "memory",
}


def both(source: str, messages: list[dict[str, Any]], prompt: bool, tools: list[Any] | None) -> tuple[Any, Any]:
    """What transformers writes and what the child writes: (text, spans), or None where it is refused."""
    given = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt}
    compiled = theirs._compile_jinja_template(source)
    more = {"bos_token": "<s>", "eos_token": "</s>", "strftime_now": _pinned_date}
    try:
        expected = theirs._render_with_assistant_indices(compiled, **given, **more)
    except Exception:
        expected = None
    (made,) = run_templates([Job(source, {**given, "bos_token": "<s>", "eos_token": "</s>"})])
    return expected, tuple(made) if isinstance(made, Rendering) else None


@pytest.mark.parametrize("source", T.TEMPLATES.values(), ids=T.TEMPLATES)
def test_the_child_writes_what_transformers_writes(source: str) -> None:
    for messages in TALKS:
        for prompt in (False, True):
            for tools in (None, [{"name": "f", "parameters": {"é": [1, 2.5, None, True]}}]):
                expected, made = both(source, messages, prompt, tools)
                assert made == expected


def test_the_language_is_that_of_transformers() -> None:
    ours, known = compile_template("").environment, theirs._compile_jinja_template("").environment
    for part in ("filters", "tests", "globals", "policies"):
        assert getattr(ours, part).keys() == getattr(known, part).keys()
    same = ("trim_blocks", "lstrip_blocks", "keep_trailing_newline", "autoescape", "newline_sequence", "undefined")
    assert [getattr(ours, name) for name in same] == [getattr(known, name) for name in same]
    assert isinstance(ours, type(known))


@pytest.mark.parametrize("name", sorted(set(compile_template("").environment.filters) - {"random"}))
def test_no_filter_needs_a_file(name: str) -> None:
    """The child can open none once it is confined."""
    for value in ("'a b, c'", "[3, 1, 2]", "{'a': 1}", "2.5", "none"):
        expected, made = both(f"{{{{ {value} | {name} | list if false else {value} | {name} }}}}", [], False, None)
        assert (made is None, " at 0x" in str(made) or made == expected) == (expected is None, True)


@pytest.mark.parametrize(
    "source",
    [
        "{{ dict(a=1) }}{{ dict.fromkeys(['x']) }}",
        "{{ dict.mro }}",
        "{% set n = namespace(a=1) %}{% set n.a = 2 %}{{ n.a }}",
        "{% set n = namespace(_a=1) %}{{ n._a }}",
        "{% set n = namespace() %}{% set n._a = 2 %}",
        "{{ {'b': 1, 'a': '<é>'} | tojson(indent=2, sort_keys=true) }}{{ '<é>' | tojson(ensure_ascii=true) }}",
        "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "a{% macro m() %}{% generation %}b{% endgeneration %}{% endmacro %}{{ m() }}{{ m() }}",
        "{{ raise_exception('no') }}",
        "{% include 'x' %}",
        "{{ 'x'.encode('punycode') }}{{ 'é'.encode('utf-16') }}",
        "{{ lipsum.__globals__ }}",
    ],
)
def test_odd_templates_agree(source: str) -> None:
    expected, made = both(source, [], False, None)
    assert made == expected


@pytest.mark.parametrize("evil", EVILS)
def test_a_row_that_sets_off_a_bomb_is_one_skip(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = renderer(ARMED.replace("EVIL", evil))
    assert made.facts()["rung"] == "sentinel"
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    first, skip, last = made.render([ROW, BOMB, ROW])
    assert isinstance(skip, Skip)
    assert (skip.code, EVILS[evil] in skip.message) == ("template_failed", True)
    assert first.sequences[0].ids.tolist() == last.sequences[0].ids.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("evil", EVILS)
def test_a_bomb_under_every_row_ends_the_run(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = renderer(ARMED.replace("EVIL", evil).replace("'bomb' in messages[0].content", "true"))
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    with pytest.raises(ModelError, match=f"the tokenizer's chat template cannot be used: .*{EVILS[evil]}"):
        made.facts()


def test_a_bomb_that_spares_the_first_conversation_ends_the_run_after_three_rows() -> None:
    made = renderer(ARMED.replace("EVIL", "{{ 'a' * n }}"))
    with pytest.raises(ModelError, match=r"was stopped on 3 rows and rendered 0; .*wrote more than"):
        made.render([BOMB] * 4)
    made = renderer(ARMED.replace("EVIL", "{{ 'a' * n }}"))
    assert sum(isinstance(r, Skip) for r in made.render([ROW] * 5 + [BOMB] * 4)) == 4


@pytest.mark.parametrize("prompted", [False, True])
def test_a_bomb_where_the_skeleton_stands_is_not_passed_over(prompted: bool) -> None:
    when = "add_generation_prompt" if prompted else "'Hello' not in messages[1].content"
    made = renderer(f"{{% if {when} %}}{{{{ 'a' * 10**7 }}}}{{% endif %}}{T.CHATML}")
    with pytest.raises(ModelError, match="cannot be used: the template wrote more than"):
        made.facts()


@pytest.mark.parametrize(
    "source", ["{{ 7 ** (10 ** 8) }}", "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "x" * 1_000_001]
)
def test_a_template_that_cannot_be_compiled_is_refused(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    with pytest.raises(ModelError, match=r"the tokenizer's chat template .*(seconds|without end|longer than any)"):
        load_template(Tokenizer(fast(source)))


def test_recursion_is_a_message() -> None:
    made = renderer("{% macro m() %}{{ m() }}{% endmacro %}" + ARMED.replace("EVIL", "{{ m() }}"))
    (skip,) = made.render([BOMB])
    assert isinstance(skip, Skip)
    assert skip.message == "the chat template refused this row: it calls itself without end (RecursionError)"


def test_a_prompt_that_cannot_be_made_ends_the_run() -> None:
    template = load_template(Tokenizer(fast("{{ raise_exception('no users here') }}")))
    with pytest.raises(ModelError, match="the tokenizer's chat template makes no prompt: no users here"):
        template.prompt([{"role": "user", "content": "Hi"}])


def test_a_child_that_is_killed_costs_a_row_and_comes_back() -> None:
    made = renderer(T.CHATML)
    assert texts(made, ROW) == ["Hello"]
    child = sandbox._RUNNER._ready()
    child._process.kill()
    assert "signal 9" in made.render([ROW])[0].message  # type: ignore[union-attr]
    assert texts(made, ROW) == ["Hello"]


def test_a_batch_larger_than_the_pipes_goes_through() -> None:
    long = chat(("user", "q" * 3_000_000), ("assistant", "Hello"))
    made = renderer(T.CHATML, context=10**7)
    assert all(not isinstance(r, Skip) for r in made.render([ROW, long, *[ROW] * 3000]))


@pytest.mark.skipif(sys.platform == "win32", reason="needs the limits of a POSIX system")
def test_the_child_can_open_nothing_and_start_nothing() -> None:
    code = (
        "from screen.rendering.templates.child import confine; import os\n"
        "print(confine())\n"
        "for go in (lambda: open('/etc/hostname'), lambda: 'x' * (3 << 30)):\n"
        "    try: go(); print('done')\n"
        "    except (OSError, MemoryError) as error: print(type(error).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["[]", "OSError", "MemoryError"]
    assert limits_absent() == []


def test_limits_that_a_platform_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert child.confine() == ["memory", "files", "processes"]
    monkeypatch.delattr("signal.setitimer")
    assert child.confine() == ["memory", "processor time", "files", "processes"]


def test_what_a_template_is_given_may_be_too_deep() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    good, bad = Job("{{ 1 }}", {}), Job("{{ 1 }}", {"x": deep})
    first, second, third = run_templates([good, bad, good])
    assert (first, third) == (Rendering("1", []), Rendering("1", []))
    assert (type(second), str(second)) == (TemplateFailed, "what it is given is nested too deeply")


def test_the_output_is_counted_while_it_grows() -> None:
    assert run_template(compile_template("{% for i in range(9) %}ab{% endfor %}"), {}, 18) == ("ab" * 9, [])
    assert run_template(compile_template("{% for i in range(9) %}ab{% endfor %}"), {}, 17) is None
    assert isinstance(run_templates([Job("{{ x * 99 }}", {"x": "a" * 10**6})])[0], TemplateCap)


def test_one_template_refuses_and_the_next_row_is_rendered() -> None:
    assert refusal(renderer(ARMED.replace("EVIL", "{{ messages[9].x }}")), BOMB) == "template_failed"
