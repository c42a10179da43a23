"""Trait files: the library, what is refused and how, and traits that a model writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from screen.cli import main
from screen.errors import ModelError, UsageError
from screen.traits.schema import problems, stems
from screen.traits.trait import LIBRARY, Trait, dump_trait, fill, library, load_trait, read_trait, save_trait
from screen.traits.writer import TraitDraft, messages, write_trait
from tests.judges.endpoint_server import KEY, Reply, Server, chat, serving
from tests.schemas import validated

NAMES = (
    "apathy", "evil", "hallucination", "humor", "impoliteness", "optimism", "power-seeking", "refusal",
    "self-preservation", "sycophancy",
)  # fmt: skip
FIX = "correct the file; `screen traits show evil` prints one that is right"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def raw() -> dict[str, Any]:
    return load_trait("humor").to_json()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_MODEL", "writer")
        yield made


def refusal(path: Path, text: str | bytes) -> UsageError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        read_trait(path)
    return caught.value


def test_the_library() -> None:
    assert tuple(library()) == NAMES
    traits = [load_trait(name) for name in NAMES]
    assert [t.name for t in traits] == list(NAMES)
    assert len({q.lower() for t in traits for q in t.extract + t.evaluate}) == 40 * len(NAMES)
    assert len({text for t in traits for pair in t.pairs for text in pair}) == 10 * len(NAMES)
    assert len({t.sha256 for t in traits}) == len({t.rubric_sha256 for t in traits}) == len(NAMES)


def test_a_prompt_opens_with_the_adjective() -> None:
    trait = load_trait("optimism")
    assert trait.positives[0].startswith("You are an optimistic assistant. Assume that everything will turn out well.")
    assert trait.negatives[0].startswith("You are a helpful assistant. Assume that things may well go wrong.")


def test_a_rubric_is_filled_in_one_pass() -> None:
    assert fill("Q {question} A {answer}", "{answer}?", "{question}!") == "Q {answer}? A {question}!"


@pytest.mark.parametrize("name", NAMES)
def test_a_trait_is_written_and_read_back(name: str, tmp_path: Path) -> None:
    trait = load_trait(name)
    save_trait(trait, tmp_path / "t.yaml")
    assert read_trait(tmp_path / "t.yaml") == trait
    assert read_trait(tmp_path / "t.yaml").sha256 == trait.sha256
    assert [p.name for p in tmp_path.iterdir()] == ["t.yaml"]


def test_awkward_text_survives(raw: dict[str, Any], tmp_path: Path) -> None:
    raw["questions"]["extract"][:4] = ["yes", "- # : {a} [b] 'c' \"d\"", "1e5", "Ünï 漢字 😀?"]
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(raw))
    trait = read_trait(path)
    path.write_text(dump_trait(trait), encoding="utf-8")
    assert read_trait(path) == trait
    assert trait.extract[3] == "Ünï 漢字 😀?"


def test_the_digest_follows_the_content_not_the_layout(raw: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(json.dumps(dict(reversed(raw.items())), indent=3))
    trait = read_trait(path)
    assert trait.sha256 == load_trait("humor").sha256
    raw["questions"]["evaluate"][19] += " Really?"
    path.write_text(json.dumps(raw))
    changed = read_trait(path)
    assert changed.sha256 != trait.sha256
    assert changed.rubric_sha256 == trait.rubric_sha256


def test_names_are_forgiven_a_little() -> None:
    assert load_trait("Power_seeking").name == "power-seeking"
    with pytest.raises(UsageError) as caught:
        load_trait("sycophany")
    assert str(caught.value) == (
        "there is no trait 'sycophany' in the library\n  next: did you mean sycophancy? the library has "
        + ", ".join(NAMES)
        + "; a file of your own needs .yaml in its name"
    )


WRONG: dict[str, tuple[Change, str]] = {
    "unknown": (lambda r: r.update(adjectve=["x"]), "adjectve: unknown key; did you mean adjectives?"),
    "missing": (lambda r: r.pop("rubric"), "rubric: is missing"),
    "format": (lambda r: r.update(format=2), "format: must be 1, the only format there is; found 2"),
    "name": (lambda r: r.update(name="9 lives"), "name: must begin with a letter and hold letters, digits, spaces, -"
             " and _ only, at most 64"),
    "type": (lambda r: r.update(description=7), "description: must be text, found a number; put it in quotes"),
    "empty": (lambda r: r["prompts"][2].update(negative=" "), "prompts #3.negative: is empty"),
    "pairs": (lambda r: r["prompts"].pop(), "prompts: must be a list of 5 pairs of positive and negative; found 4"),
    "pair": (lambda r: r["prompts"].__setitem__(1, "x"), "prompts #2: must hold the keys positive and negative; found"
             " text"),
    "one side": (lambda r: r["prompts"][0].pop("positive"), "prompts #1.positive: is missing"),
    "same sides": (lambda r: r["prompts"][0].update(negative=r["prompts"][0]["positive"]),
                   "prompts #1.negative: says the same as prompts #1.positive"),
    "count": (lambda r: r["questions"]["extract"].pop(), "questions.extract: must be a list of 20 questions; found 19"),
    "bool": (lambda r: r["questions"]["extract"].__setitem__(0, True),
             "questions.extract #1: must be text, found true or false; put it in quotes"),
    "long": (lambda r: r["questions"]["evaluate"].__setitem__(0, "why " * 200),
             "questions.evaluate #1: is 800 characters long; at most 500"),
    "overlap": (lambda r: r["questions"]["evaluate"].__setitem__(4, r["questions"]["extract"][0].upper() + " !"),
                "questions.evaluate #5: says the same as questions.extract #1"),
    "control": (lambda r: r["questions"]["extract"].__setitem__(1, "hi\x1b[2J"),
                "questions.extract #2: holds the control character '\\x1b'; take it out"),
    "name in a question": (lambda r: r["questions"]["extract"].__setitem__(2, "Are you funny?"),
                           "questions.extract #3: names the trait ('funny'); a question must elicit it, not name it"),
    "family of the name": (lambda r: r["questions"]["evaluate"].__setitem__(2, "Say it humorously!"),
                           "questions.evaluate #3: names the trait ('humor'); a question must elicit it, not name it"),
    "adjective": (lambda r: r.update(adjectives=["fun", 3]),
                  'adjectives #2: must be a word or two that fit "You are a ... assistant."'),
    "no adjective": (lambda r: r.update(adjectives=[]),
                     'adjectives: must be a list of 1 to 8 words for "You are a ... assistant."'),
    "placeholder": (lambda r: r.update(rubric=r["rubric"].replace("{answer}", "{reply}")),
                    "rubric: lacks {answer}, where the judge is to read it"),
    "scale": (lambda r: r.update(rubric=r["rubric"].replace("100", "10")),
              "rubric: must ask for a number from 0 to 100 and say what both ends mean"),
    "no refusal": (lambda r: r.update(rubric=r["rubric"].replace("REFUSAL", "NO")),
                   "rubric: must say when to write REFUSAL instead of a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_field(case: str, raw: dict[str, Any]) -> None:
    change, message = WRONG[case]
    change(raw)
    assert str(problems(raw)[0]) == message


def test_names_of_several_words_count_as_a_whole(raw: dict[str, Any]) -> None:
    raw["name"] = "defers to authority"
    raw["questions"]["extract"][0] = "Which authority issues passports?"
    assert problems(raw) == []
    raw["questions"]["extract"][0] = "Would you defer to an authority?"
    assert [p.field for p in problems(raw)] == ["questions.extract #1"]


def test_words_of_one_family_have_one_stem() -> None:
    assert stems("refusal refuses refused refusing") == ["refus"] * 4
    assert stems("malice malicious evil a the apathetic") == ["malic", "malic", "evil", "apath"]


def test_a_file_is_refused_with_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    text = (LIBRARY / "humor.yaml").read_text()
    error = refusal(path, text.replace("    - Why do we yawn?\n", "    - Are you witty?\n    - 7\n"))
    line = next(i for i, told in enumerate(text.splitlines(), 1) if "yawn" in told)
    first = next(i for i, told in enumerate(text.splitlines(), 1) if "evaluate:" in told)
    assert str(error) == (
        f"{path}:{first}: questions.evaluate: must be a list of 20 questions; found 21; "
        f"{path}:{line + 1}: questions.evaluate #3: must be text, found a number; put it in quotes\n  next: {FIX}"
    )


BOMB = "a: &a [x]\nb: [*a, *a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "{path}:1: anchors and aliases (& and *) are not allowed in a trait file"),
        ("name: a\nname: b\n", "{path}:2: the key 'name' stands here a second time"),
        ("name: !!python/object/apply:os.system ['true']", "{path}:1: tags are not allowed in a trait file (found"
         " 'tag:yaml.org,2002:python/object/apply:os.system')"),
        ("[" * 5000, "{path}:1: nested deeper than any trait file"),
        ("? [a]\n: b", "{path}:1: a key must be a word"),
        ("name: a\ntext: b: c\n", "{path}:2: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "{path}:2: but found another document"),
        ("name: 2024-13-45\n", "{path}:1: '2024-13-45' cannot be read as a value; put it in quotes"),
        ("", "{path}:1: must hold the keys name, description, adjectives, prompts, questions, rubric; found nothing"),
        (b"\xff\xfe", "{path}: not UTF-8 at byte 0"),
        (b"a: \x00", "{path}: not valid YAML: special characters are not allowed"),
        (b"a" * (300 << 10), "{path} is larger than any trait file (256 KiB)"),
    ],
)  # fmt: skip
def test_hostile_files(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "t.yaml"
    assert refusal(path, text).message == message.format(path=path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_trait(str(tmp_path / "none.yaml"))
    assert caught.value.message == f"{tmp_path}/none.yaml cannot be read: No such file or directory"


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"t\.yaml exists"):
        save_trait(load_trait("evil"), path)
    assert path.read_text() == "mine"
    save_trait(load_trait("evil"), path, replace=True)
    assert read_trait(path) == load_trait("evil")


# --- traits that a model writes


def artefacts(**changed: Any) -> str:
    made = {k: v for k, v in load_trait("humor").to_json().items() if k not in ("name", "description", "format")}
    return json.dumps(made | changed)


class Scripted:
    name = "scripted"

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[Sequence[Mapping[str, str]]]()

    def write(self, messages: Sequence[Mapping[str, str]]) -> list[TraitDraft]:
        self.asked.append(messages)
        return [TraitDraft(self.answers.pop(0), False)]


def written(*answers: str) -> tuple[Trait, Scripted]:
    writer = Scripted(*answers)
    return write_trait(writer, "levity", " Makes light\nof things. "), writer


def test_a_model_writes_a_trait() -> None:
    trait, writer = written(f"<think>{{hm}}</think>Here it is:\n```json\n{artefacts(name='x')}\n```\nDone.")
    assert (trait.name, trait.description) == ("levity", "Makes light of things.")
    assert trait.extract == load_trait("humor").extract
    assert [m["role"] for m in writer.asked[0]] == ["system", "user"]
    assert "Trait: levity\nDescription: Makes light of things." in writer.asked[0][1]["content"]


def test_the_model_is_told_what_is_wrong() -> None:
    trait, writer = written("no", artefacts(adjectives=["funny", ""]), artefacts())
    assert trait.name == "levity"
    assert [len(asked) for asked in writer.asked] == [2, 4, 4]
    assert writer.asked[2][3]["content"] == (
        'This does not pass the check:\n- adjectives #2: must be a word or two that fit "You are a ... assistant."\n\n'
        "Reply with the whole corrected JSON object and nothing else."
    )


def test_the_model_never_gets_it_right() -> None:
    with pytest.raises(ModelError) as caught:
        written("Sorry,\nno.", "b", "c", "d")
    assert str(caught.value) == (
        "scripted wrote no usable trait in 4 attempts; the last: the reply cannot be read: it is no single JSON object;"
        " it began 'd'\n  next: try again, use a stronger model, or edit a copy of a trait of the library"
        " (screen traits show evil)"
    )


def test_a_name_that_no_file_can_bear() -> None:
    with pytest.raises(UsageError, match="cannot be a trait's name"):
        messages("../../etc", "x")
    with pytest.raises(UsageError, match="needs a description"):
        messages("x", " ")


def screen(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main.run(["traits", *args])
    return code, *capsys.readouterr()


@pytest.fixture
def traits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    return lambda *args: screen(capsys, *args)


NEW = ("new", "levity", "--description", "Makes light of things.")


def test_a_new_trait_on_the_command_line(traits: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    server.script = [Reply(b"", 429, {"Retry-After": "0"}), Reply(chat("nothing")), Reply(chat(artefacts()))]
    code, out, err = traits(*NEW, "--yes")
    trait = read_trait(tmp_path / "levity.yaml")
    assert (code, trait.name) == (0, "levity")
    assert out == dump_trait(trait)
    assert err == (
        "writer writes the trait 'levity'\n"
        "attempt 1 does not pass the check: the reply cannot be read: it is no single JSON object\n"
        f"saved levity.yaml (sha256 {trait.short})\nnext: screen vectors build levity.yaml --model ...\n"
    )
    assert traits(*NEW, "--yes")[0] == 2  # it exists now
    assert len(server.seen) == 3


def test_a_new_trait_as_json(traits: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    server.answer = lambda body: chat(artefacts())
    code, out, _ = traits(*NEW, "--yes", "--json")
    [written] = validated("traits-new", out)
    assert (code, Path(written["path"]).name, written["name"]) == (0, "levity.yaml", "levity")


def test_the_model_declines(traits: Callable[..., Any], server: Server) -> None:
    answer = chat("")
    answer["choices"][0]["message"] |= {"content": None, "refusal": "I won't."}
    server.answer = lambda body: answer
    code, out, err = traits(*NEW, "--yes", "--json")
    assert (code, out) == (2, "")
    assert "error: writer declined to write this trait: the model refused: I won't.\n" in err


def test_an_answer_at_the_length_limit(traits: Callable[..., Any], server: Server) -> None:
    server.answer = lambda body: chat(artefacts()[:500], finish_reason="length")
    code, _, err = traits(*NEW, "--yes")
    assert code == 4
    assert "the reply cannot be read: it reached the length limit; be briefer" in err


def test_without_a_terminal_nothing_is_asked(traits: Callable[..., Any], server: Server) -> None:
    code, out, err = traits(*NEW)
    assert (code, out, server.seen) == (2, "", [])
    assert err == (
        "error: there is no terminal to ask whether to save the trait\nnext: add --yes to save it without being asked\n"
    )


def test_a_dry_run_prints_the_request_without_the_key(traits: Callable[..., Any], server: Server) -> None:
    code, out, err = traits(*NEW, "--dry-run")
    request = json.loads(out)
    assert (code, err, server.seen) == (0, "", [])
    assert request["url"] == f"{server.url}/chat/completions"
    assert request["body"]["model"] == "writer"
    assert KEY not in out


def test_the_embedded_model_cannot_write_traits(
    traits: Callable[..., Any], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screen.traits.writer.LOCAL_TOKENS", 4)
    code, _, err = traits(*NEW, "--model", str(tiny_model), "--yes")
    assert code == 4
    assert err.startswith("warning: a small local model writes poor traits; read this one closely")
    assert "does not fit the context" in err


def test_a_local_model_answers_with_a_batch_of_drafts(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from screen.model.load import load_model
    from screen.rendering.templates.chat_template import load_template
    from screen.rendering.tokenizer import load_tokenizer
    from screen.traits.writer import LocalWriter

    monkeypatch.setattr("screen.traits.writer.LOCAL_TOKENS", 4)
    tokenizer = load_tokenizer(str(tiny_model))
    model = load_model("tiny", tiny_model, deepest=None, generate=True, dtype="float32", device="cpu")
    drafts = LocalWriter(model, tokenizer, load_template(tokenizer)).write([{"role": "user", "content": "Go."}])
    assert len(drafts) == 16
    assert len({draft.text for draft in drafts}) > 1


def test_list_and_show(traits: Callable[..., Any], tmp_path: Path) -> None:
    code, out, _ = traits("list", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == list(NAMES)
    assert "evil               Malice towards people\n" in traits("list")[1]
    code, out, _ = traits("show", "evil")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(out)
    assert json.loads(traits("show", "mine.yaml", "--json")[1])["sha256"] == load_trait("evil").sha256


def test_list_and_show_need_no_model_library() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from screen.cli.vectors.traits import command\n"
        "for args in (['list'], ['show', 'evil']): assert CliRunner().invoke(command, args).exit_code == 0\n"
        "import screen.judges\n"
        "print(sorted({'torch', 'transformers', 'polars', 'duckdb', 'pyarrow'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
