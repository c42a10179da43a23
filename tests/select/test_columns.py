"""What an expression can name is what the view `samples` holds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from screen.select import columns
from screen.select.expression import Says
from screen.store.folder import RunFolder
from screen.store.scan import Scan
from tests.cli import fake_run


@pytest.fixture
def many_turns(tmp_path: Path) -> Scan:
    """A run in which each sample has another number of scored turns, not in their order, some without an answer."""
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    made = fake_run.shard_tables(chats, range(8), "generate", pairs=True)
    turns = []
    for at, turn in enumerate(made["turns"].to_pylist()):
        for number in reversed(range(at % 3 + 1)):
            own = None if (at + number) % 2 else f"own {number}"
            turns.append(
                {**turn, "turn": number, "prompt": f"asked {number}", "text": f"{at}.{number}", "base_answer": own}
            )
    made["turns"] = pa.Table.from_pylist(turns, schema=made["turns"].schema)
    number = pa.array([at % 3 + 1 for at in range(made["scores"].num_rows)], pa.int32())
    place = made["scores"].column_names.index("turns_scored")
    made["scores"] = made["scores"].set_column(place, made["scores"].field(place), number)
    with RunFolder.open(tmp_path / "r", {"traits": list(fake_run.TRAITS)}, {"baseline": "generate"}) as folder:
        folder.publish(0, 0, 8, made)
        flag = {"threshold": 5.5, "rule": "", "length_slope": 2.5, "length_mean": 3.1}
        folder.finish({"flags": {"evil": {**flag, "column": "evil"}, "kind": {**flag, "column": "kind"}}})
    return Scan.open(tmp_path / "r")


def test_the_columns_are_those_of_the_view(many_turns: Scan) -> None:
    """But for what is no column of the view: flags, and labels, which have views of their own."""
    named = set(columns.columns(many_turns)) - {"flagged", "label"}
    assert named == set(many_turns.sql("select * from samples limit 0").column_names)


@pytest.mark.parametrize("name", ["prompt", "answer", "base_answer"])
def test_texts_are_those_of_the_view(name: str, many_turns: Scan) -> None:
    wanted = many_turns.sql(f"select {name} from samples order by row, variant")[name].to_pylist()
    for text in {w for w in wanted if w is not None}:
        test = Says(name, "=", text)
        answers, notes = columns.text_answers(many_turns, [test])
        assert answers[str(test)].to_pylist() == [None if w is None else w == text for w in wanted]
        assert not notes


def test_scores_less_length_are_those_of_the_view(many_turns: Scan) -> None:
    wanted = many_turns.sql(
        "select evil, kind, answer_tokens, evil_corrected, kind_corrected from samples order by row, variant"
    )
    for trait in fake_run.TRAITS:
        found = columns.length_corrected(many_turns, trait, wanted)
        assert found.to_pylist() == pytest.approx(wanted[f"{trait}_corrected"].to_pylist(), abs=1e-6)


def test_a_run_that_is_not_finished_has_no_scores_less_length(tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), finish=False)
    table = pa.table({"evil": [1.0], "answer_tokens": [3]})
    assert columns.length_corrected(Scan.open(run), "evil", table).to_pylist() == [None]
