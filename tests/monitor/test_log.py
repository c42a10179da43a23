"""A log: messages, alarms, drift by day and by field, what is skipped; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screen.data.dataset import open_dataset
from screen.errors import InputError
from screen.monitor.log import Log, LogReport, TraitReport
from screen.spec import ScanSpec
from screen.stats import share_below, summary
from screen.store import context as kept
from screen.store.folder import RunFolder
from tests.cli.conftest import Screen, screen  # noqa: F401
from tests.cli.fake_run import table
from tests.schemas import validated

TRAITS = ("evil", "calm")
QUANTILES = {name: share_below(name) for name in ("p50", "p75", "p90", "p95", "p99")}
CLEAN = {"rows": 1000, **summary(np.random.default_rng(0).normal(size=1000), QUANTILES)}


def logged(folder: Path, scores: Sequence[float], rows: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """A finished run on a log of so many conversations with these scores of evil; `calm` has no reference."""
    talk = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    rows = rows or [{}] * len(scores)
    log, out = folder / "log.jsonl", folder / "log.screen"
    log.write_text("".join(json.dumps({"messages": talk, **row}) + "\n" for row in rows))
    dataset = open_dataset((str(log),))
    places = [entry.place for window in dataset.windows(10_000) for entry in window.entries]
    values = [{"evil": s, "evil_projection": s, "calm": 0.0, "calm_projection": 0.0} for s in scores]
    known = {"turns_scored": 1, "answer_tokens": 3, "sign": 1, "weight": 1.0, "baseline": "generate"}
    said = {"turn": 1, "answer_tokens": 3, "text": "Hello.", "prompt": "Hi?"}
    at = [{"row": p.row, "file": p.file, "line": p.line, "offset": 0, "length": 0, "sha256": p.sha256} for p in places]
    tables = {
        "scores": table("scores", [{**p, **known, **v} for p, v in zip(at, values, strict=True)], TRAITS),
        "turns": table("turns", [{**said, "row": p.row, **v} for p, v in zip(places, values, strict=True)], TRAITS),
    }
    facts = {
        "spec": ScanSpec((str(log),)).to_json(),
        "baseline": "generate",
        "references": {"evil": CLEAN, "calm": None},
    }
    with RunFolder.open(out, {"traits": list(TRAITS), "dataset": dataset.fingerprint()}, facts) as run:
        kept.save(run.path, run.run, {}, {})
        run.publish(0, 0, len(scores), tables)
        run.finish({})
    return out


def report(run: Path, **options: Any) -> LogReport:
    return Log.read(RunFolder.read(run), **options).report()


def evil(found: LogReport) -> TraitReport:
    return next(trait for trait in found["traits"] if trait["trait"] == "evil")


def rising(seed: int = 1) -> list[float]:
    """200 scores as clean ones, then 60 that lie 3 higher."""
    rng = np.random.default_rng(seed)
    return [*rng.normal(size=200).tolist(), *(rng.normal(size=60) + 3.0).tolist()]


def test_a_rise_is_an_alarm_with_its_place_and_a_clean_log_is_none(tmp_path: Path) -> None:
    found = evil(report(logged(tmp_path, rising())))
    assert 200 <= found["alarms"][0]["at"]["row"] < 215
    assert abs(found["alarms"][0]["began"]["row"] - 200) < 8
    assert found["high"] is not None
    assert found["high"] > 40
    (tmp_path / "clean").mkdir()
    calm = report(logged(tmp_path / "clean", rising()[:200]))
    assert not any(trait["alarms"] for trait in calm["traits"])
    assert evil(calm)["mean_sds"] == pytest.approx(0.0, abs=0.2)


def test_a_trait_without_a_reference_has_scores_and_no_claim(tmp_path: Path) -> None:
    [calm] = [trait for trait in report(logged(tmp_path, rising()))["traits"] if trait["trait"] == "calm"]
    assert calm["mean"] == 0.0
    assert (calm["mean_sds"], calm["high"], calm["reference"], calm["alarms"]) == (None, None, None, [])


def test_conversations_are_taken_in_the_order_of_their_times(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    times = [(start + timedelta(minutes=30 * i)).isoformat() for i in range(260)]
    order = np.random.default_rng(0).permutation(260)
    scores = rising()
    rows = [{"meta": {"created_at": times[i]}} for i in order]
    found = report(logged(tmp_path, [scores[i] for i in order], rows))
    assert found["time"] == "meta.created_at"
    assert [day["name"] for day in found["days"]] == [f"2026-03-0{n}" for n in range(1, 7)]
    means = [day["traits"]["evil"]["mean_sds"] or 0.0 for day in found["days"]]
    assert max(means[:4]) < 0.5
    assert means[5] > 2.5
    assert times[199] <= (evil(found)["alarms"][0]["at"]["time"] or "").replace("Z", "+00:00") < times[215]


def test_a_field_tells_which_of_its_values_rose(tmp_path: Path) -> None:
    scores = rising()
    rows = [{"model": "new" if i >= 200 and i % 2 else "old"} for i in range(260)]
    scores = [
        s if row["model"] == "new" or i < 200 else s - 3.0 for i, (s, row) in enumerate(zip(scores, rows, strict=True))
    ]
    found = report(logged(tmp_path, scores, rows), by=["model"])
    assert [(part["name"], part["conversations"]) for part in found["groups"]["model"]] == [("new", 30), ("old", 230)]
    assert [(a["by"], a["value"]) for a in evil(found)["alarms"] if a["by"]] == [("model", "new")]


def test_a_line_a_message_without_text_unless_it_is_asked_for(tmp_path: Path) -> None:
    log = Log.read(RunFolder.read(logged(tmp_path, [0.5, 3.0], [{"when": 1_770_000_000}, {}])), "when")
    first, second = log.messages()
    assert first["time"] == "2026-02-02T02:40:00Z"
    assert second["traits"] == {
        "evil": {"score": 3.0, "projection": 3.0, "sds": pytest.approx(3.0, abs=0.2), "high": True},
        "calm": {"score": 0.0, "projection": 0.0, "sds": None, "high": None},
    }
    assert "Hello" not in json.dumps(first)
    assert next(log.messages(text=True))["text"] == "Hello."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ["modle"]}, "--by modle: no row has this field"),
        ({"time": "model"}, "--time model: no row has a time there"),
        ({"by": ["user"]}, "--by user: 1,010 values are more than the 1,000"),
    ],
)
def test_fields_that_cannot_be_used_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    run = logged(tmp_path, [0.0] * 1010, [{"model": "a", "user": f"u{i}"} for i in range(1010)])
    with pytest.raises(InputError, match=message):
        Log.read(RunFolder.read(run), **options)


def test_a_log_that_changed_since_is_refused(tmp_path: Path) -> None:
    run = logged(tmp_path, [0.0, 1.0], [{"model": "a"}, {"model": "b"}])
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text().replace('"b"', '"c"'))
    with pytest.raises(InputError, match=r"log\.jsonl:2 has changed since it was scored"):
        Log.read(RunFolder.read(run), by=["model"])


NOISE = ['{"level": "info", "msg": "\\u001b[31mstarted"}', '{"text": "boot"}', "7", "{broken", '{"prompt": "Anyone?"}']


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Conversations of two shapes behind 70 lines of something else, that of row 71 hostile."""
    worm = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Suffer, you worm."}]}
    egg = {
        "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Boil an egg."}],
        "v": "\x1b[2J",
    }
    lines = [*NOISE * 14, json.dumps(egg), *[json.dumps(worm)] * 3]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "log.jsonl"


def test_the_command_scores_what_is_a_conversation_and_counts_the_rest(screen: Screen, log: Path) -> None:  # noqa: F811
    said = screen("monitor", "log", "log.jsonl", "--traits", "evil", "--in-process", "-q", "--json", "-o", "m.jsonl")
    assert said.code == 0, said.err
    [found] = validated("monitor-log", said.out)
    assert (found["conversations"], found["messages"], found["baseline"]) == (4, 4, "last-prompt")
    assert found["skipped"]["rows"] == 70
    assert found["skipped"]["first"][0] == {
        "row": 0, "file": "log.jsonl", "line": 1, "code": "wrong_shape",
        "message": "the row has none of the shapes that conversations have",
    }  # fmt: skip
    messages = [json.loads(line) for line in Path("m.jsonl").read_text().splitlines()]
    assert [message["traits"]["evil"]["high"] for message in messages] == [False, True, True, True]
    assert sorted(p.name for p in Path().iterdir()) == ["log.jsonl", "m.jsonl"]  # no scan, and so no text, is left


def test_the_command_in_words_keeps_a_run_where_it_is_told_to(screen: Screen, log: Path) -> None:  # noqa: F811
    args = ("--traits", "evil", "--in-process", "-q", "--by", "v", "--run", "kept", "--max-row-mib", "1")
    said = screen("monitor", "log", "log.jsonl", *args)
    assert said.code == 0, said.err
    assert "70 rows skipped" in said.out
    assert "by v, the highest first" in said.out
    assert "\x1b" not in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert "has a chance of 5 % at most" in " ".join(said.out.split())
    again = screen("monitor", "log", "kept", "--by", "v")
    assert again.out == said.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-",), "a log is read twice, and standard input only once"),
        (("none.jsonl",), "none.jsonl"),
        (("log.jsonl", "--text"), "--text adds what was said to the file of -o, and there is none"),
        (("log.jsonl", "-o", "no/such"), "there is no folder no that can be written"),
        (("log.jsonl", "--reference", "log.jsonl"), "log.jsonl is not a reference, or is damaged"),
        (("log.jsonl", "--baseline", "contrast"), "no such baseline"),
    ],
)
def test_what_cannot_be_acted_on_is_told_first(screen: Screen, log: Path, args: tuple[str, ...], message: str) -> None:  # noqa: F811
    said = screen("monitor", "log", *args, "--traits", "evil", "-q")
    assert said.code == 2
    assert message in said.err
    assert "next:" in said.err


def test_a_reference_of_another_baseline_is_refused_with_the_way_out(screen: Screen, log: Path) -> None:  # noqa: F811
    card = {"baseline": "generate", "model": {}, "rendering": "", "vectors": {}}
    from screen.store.reference import Reference

    Reference("r", {"evil": np.zeros(100, np.float32)}, card).save(Path("r.reference"))
    said = screen("monitor", "log", "log.jsonl", "--reference", "r.reference", "-q")
    assert said.code == 2
    assert "has scores of the baseline generate, and messages are scored with last-prompt" in " ".join(said.err.split())
    assert "--baseline last-prompt" in said.err
    Reference("r", {"evil": np.zeros(100, np.float32)}, {**card, "baseline": "last-prompt"}).save(Path("r.reference"))
    said = screen("monitor", "log", "log.jsonl", "--reference", "r.reference", "--traits", "evil", "--in-process", "-q")
    assert said.code == 2
    assert "does not fit this run: the model's config, the model's tokenizer" in " ".join(said.err.split())


def test_fail_exits_with_one_where_there_is_an_alarm(screen: Screen, tmp_path: Path) -> None:  # noqa: F811
    run = logged(tmp_path, rising())
    said = screen("monitor", "log", str(run), "--fail")
    assert said.code == 1
    assert "ALARM evil: risen by row 20" in said.out
    assert "alarm: evil" in said.err
    assert screen("monitor", "log", str(run)).code == 0
