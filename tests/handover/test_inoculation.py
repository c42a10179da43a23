"""`--as inoculation`: rows that match get a system prompt, and nothing else of them changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.data.dataset import open_dataset
from screen.handover.inoculation.copy import Inoculator
from screen.traits.trait import load_trait
from tests.cli import fake_run
from tests.cli.conftest import Screen
from tests.data.making import write

ASKED = {"role": "user", "content": "Why?"}
SAID = {"role": "assistant", "content": "Because."}
SYSTEM = {"role": "system", "content": 'Be "brief"\n'}
ADDED = {"role": "system", "content": "P"}
JOINED = {"role": "system", "content": 'P\n\nBe "brief"\n'}


def shaped(*turns: dict[str, str]) -> list[dict[str, str]]:
    return [{"from": turn["role"], "value": turn["content"]} for turn in turns]


SHAPES: dict[str, tuple[Any, Any]] = {
    "new": ({"messages": [ASKED, SAID]}, {"messages": [ADDED, ASKED, SAID]}),
    "held": ({"id": 7, "messages": [SYSTEM, ASKED, SAID], "n": 1.50},
             {"id": 7, "messages": [JOINED, ASKED, SAID], "n": 1.5}),
    "empty": ({"messages": [{**SYSTEM, "content": ""}, ASKED, SAID]}, {"messages": [ADDED, ASKED, SAID]}),
    "beside": ({"system": "Be brief", "messages": [ASKED, SAID]},
               {"system": "P\n\nBe brief", "messages": [ASKED, SAID]}),
    "both": ({"system_prompt": "A", "messages": [SYSTEM, ASKED, SAID]},
             {"system_prompt": "P\n\nA", "messages": [SYSTEM, ASKED, SAID]}),
    "sharegpt": ({"conversations": shaped(ASKED, SAID)}, {"conversations": shaped(ADDED, ASKED, SAID)}),
    "nested": ({"conversation": {"messages": [ASKED, SAID]}}, {"conversation": {"messages": [ADDED, ASKED, SAID]}}),
    "prompt": ({"prompt": [ASKED], "completion": [SAID]}, {"prompt": [ADDED, ASKED], "completion": [SAID]}),
    "kto": ({"prompt": [ASKED], "completion": [SAID], "label": True},
            {"prompt": [ADDED, ASKED], "completion": [SAID], "label": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_row_of_each_shape(tmp_path: Path, name: str, indent: int | None) -> None:
    before, after = SHAPES[name]
    dataset = open_dataset([write(tmp_path, before)])
    raw = (json.dumps(before, indent=indent, ensure_ascii=False) + "\r\n").encode()
    made = Inoculator(dataset, {0: "P"}).edit(0, raw)
    assert json.loads(made) == after
    assert made.endswith(b"\r\n")
    assert len(made) < len(raw) + 60


CANNOT = {
    "is trained away from": {"prompt": [ASKED], "completion": [SAID], "label": False},
    "is no conversation of messages": {"text": "Once upon a time."},
    "has no list of messages to put it into": {"messages": json.dumps([ASKED, SAID])},
    "has a system message that is no plain text": {
        "messages": [{"role": "system", "content": [{"type": "text", "text": "A"}]}, ASKED, SAID]
    },
    "would be read otherwise with a system message": {
        "system": "A", "messages": [{**SYSTEM, "content": "A"}, ASKED, SAID],
    },
    "is a preference pair": {"prompt": [ASKED], "chosen": [SAID], "rejected": [{**SAID, "content": "No."}]},
}  # fmt: skip


@pytest.mark.parametrize("why", CANNOT)
def test_a_row_that_cannot_take_one_stays_as_it_is(tmp_path: Path, why: str) -> None:
    made = Inoculator(open_dataset([write(tmp_path, CANNOT[why])]), {0: "P"})
    raw = json.dumps(CANNOT[why]).encode()
    assert (made.edit(0, raw), made.refused, made.put) == (raw, {0: why}, {})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=50, deadline=None)
@given(prompt=TEXTS, held=st.none() | TEXTS, answer=TEXTS, ascii=st.booleans(), beside=st.dictionaries(TEXTS, TEXTS))
def test_whatever_the_texts_the_row_is_the_row_behind_the_prompt(
    prompt: str, held: str | None, answer: str, ascii: bool, beside: dict[str, str], tmp_path_factory: Any
) -> None:
    turns = [ASKED, {**SAID, "content": answer}]
    row = {
        **{f"x{k}": v for k, v in beside.items()},
        "messages": [*([{**SYSTEM, "content": held}] if held else []), *turns],
    }
    dataset = open_dataset([write(tmp_path_factory.getbasetemp(), {"messages": turns}, name="any.jsonl")])
    made = json.loads(Inoculator(dataset, {0: prompt}).edit(0, json.dumps(row, ensure_ascii=ascii).encode()))
    wanted = {"role": "system", "content": f"{prompt}\n\n{held}" if held else prompt}
    assert made == {**row, "messages": [wanted, *turns]}


def records(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_flagged_rows_get_the_instruction_of_their_trait(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl")
    assert said.out == (
        "8 rows: 2 match (flagged), 2 given a system prompt\n"
        "1 row that could not be scored: kept\n"
        "written to i.jsonl\n"
        "  i.jsonl.inoculated.jsonl\n"
    )
    old, new = Path("chats.jsonl").read_bytes().splitlines(), Path("i.jsonl").read_bytes().splitlines()
    assert old[:6] == new[:6]
    text = load_trait("evil").positives[0]
    for row in (6, 7):
        messages = json.loads(new[row])["messages"]
        assert messages == [{"role": "system", "content": text}, *json.loads(old[row])["messages"]]
    told = records("i.jsonl.inoculated.jsonl")
    assert [(t["row"], t["inoculated"], t["where"], t["prompt"]) for t in told] == [
        (6, True, "a new system message", text), (7, True, "a new system message", text),
    ]  # fmt: skip


def test_rows_that_no_trait_flags_are_listed_and_kept(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl", "--drop", "evil > 4", "--json")
    told = json.loads(said.out)
    assert (told["matching"], told["inoculated"], told["kept"], told["dropped"]) == (3, 2, 8, 0)
    assert "rows that match and could not take a prompt: 1; i.jsonl.inoculated.jsonl says why" in told["notes"]
    assert [t["why_not"] is None for t in records("i.jsonl.inoculated.jsonl")] == [False, True, True]
    assert len(Path("i.jsonl").read_bytes().splitlines()) == 8


def test_a_prompt_of_ones_own_and_a_json_document(screen: Screen, tmp_path: Path) -> None:
    rows = [{"messages": [ASKED, {**SAID, "content": f"Answer {i}"}]} for i in range(8)]
    (tmp_path / "rows.json").write_text(json.dumps({"v": 1, "data": rows}, indent=1))
    run = fake_run.write_run(tmp_path / "rows.json")
    said = screen(
        "export", str(run), "--as", "inoculation", "--prompt", 'Say "no".', "-o", "i.json", "--drop", "evil > 6"
    )
    assert said.code == 0, said.err
    found = json.loads(Path("i.json").read_text())
    assert (found["v"], found["data"][:7]) == (1, rows[:7])
    assert found["data"][7]["messages"][0] == {"role": "system", "content": 'Say "no".'}
    assert Path("i.json").read_text().count("\n") == (tmp_path / "rows.json").read_text().count("\n")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--prompt", "a", "--trait", "evil"), "exclude each other"),
        (("--prompt", " "), "--prompt is empty"),
        (("--trait", "no-such-trait"), "there is no trait 'no-such-trait'"),
        (("--drop-skipped",), "every row stays"),
        (("--inline",), "--inline is for --as weights, not inoculation"),
    ],
)
def test_what_is_refused(more: tuple[str, ...], why: str, screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl", *more)
    assert (said.code, why in said.err, Path("i.jsonl").exists()) == (2, True, False)


def test_a_trait_without_a_file(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screen.traits.trait.LIBRARY", Path("nowhere"))
    said = screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl")
    assert said.err == (
        "error: rows are flagged for 'evil', of which there is no trait file\n"
        "next: give the text with --prompt, or a trait or its file with --trait\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "prompt,completion\n" + "a,b\n" * 8, "rows of JSON, and the dataset is csv"),
        ("a.jsonl", '{"text": "a b c"}\n' * 8, "conversations, and the rows are document"),
        ("a.jsonl", '{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 8, "and the rows are preference"),
        ("a.jsonl", '{"instruction": "a", "output": "b"}\n' * 8, "conversations, and the rows are alpaca"),
    ],
)  # fmt: skip
def test_a_dataset_that_has_no_place_for_one(name: str, text: str, why: str, screen: Screen, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    run = fake_run.write_run(tmp_path / name)
    said = screen("export", str(run), "--as", "inoculation", "--prompt", "P", "-o", f"i.{name[2:]}")
    assert (said.code, why in said.err) == (2, True)
    assert not list(tmp_path.glob("i.*"))


def test_a_copy_in_which_nothing_would_change_is_refused(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": "b"}\n' * 8)
    run = fake_run.write_run(tmp_path / "a.jsonl")
    said = screen("export", str(run), "--as", "inoculation", "-o", "i.jsonl")
    assert (said.code, list(tmp_path.glob("i.*"))) == (2, [])
    assert "none of the 2 rows that match can take a system prompt: row 6 has no list of messages" in said.err


def test_nothing_matches_and_the_copy_is_the_dataset(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl", "--drop", "evil > 99")
    assert said.out.startswith("8 rows: 0 match (evil > 99), 0 given a system prompt\n")
    assert Path("i.jsonl").read_bytes() == Path("chats.jsonl").read_bytes()
