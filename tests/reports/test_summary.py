"""What people read when a run begins and ends."""

from __future__ import annotations

import io
from pathlib import Path

from screen_reports import notes, queries
from screen_reports.console import Terminal
from screen_reports.summary import doubts, leading, print_summary

from screen.select.scores import threshold_of
from screen.store.scan import Scan
from tests.cli import fake_run


def summary_of(run: Path) -> str:
    scan, file = Scan.open(run), io.StringIO()
    print_summary(Terminal(file), scan, scan.summary, Path("chats.screen"))
    return file.getvalue()


def test_the_summary_of_a_run(tmp_path: Path) -> None:
    assert summary_of(fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"))) == (
        "\n"
        "8 rows: 7 scored, 1 skipped; 1,234 tokens in 1 min 01 s\n"
        "\n"
        "trait  flagged   share      95 %  random    p95    max  threshold\n"
        "evil         2  28.6 %  8.2-64.1     0-0  +6.70  +7.00      +5.50\n"
        "kind         0   0.0 %  0.0-39.0       -  -0.25  +0.00      +4.40\n"
        "\n"
        "evil: 2 rows stand above p99 of clean rows (0.1 expected; random directions: 0,\n"
        "0 at most): review them\n"
        "kind: cannot tell with this model and these vectors: there is nothing to compare\n"
        "it with: no control directions, or no spread\n"
        "\n"
        "evil: 1 of 2 flagged rows answer what the base model refused or asked back\n"
        "random: rows above p99 of clean rows along directions that mean nothing,\n"
        "mean-highest (32 directions, as good as 16 independent ones)\n"
        "threshold of evil (+5.20 to +5.90): p99 of the card's reference (1,000 clean\n"
        "rows)\n"
        "threshold of kind: robust z > 3 within this run only; no reference on the card\n"
        "for this layer and baseline\n"
        "skipped: 1 bad_json\n"
        "1 of 7 samples with special-token text such as <|im_end|> inside a message\n"
        "1 of 7 samples whose baseline response reached --max-new-tokens\n"
        "\n"
        "highest evil:\n"
        "row 7  +7.00  …number 7 begins here. Answer number 7 begins here. Answer number…\n"
        "row 6  +6.00  [red]\\x1b[31m \\u202egnp \\u200b=1+1 new line\n"
        "row 5  +5.00  …number 5 begins here. Answer number 5 begins here. Answer number…\n"
        "\n"
        "written to chats.screen/: scores, turns, skipped, summary.json\n"
        "next:\n"
        "  screen rank chats.screen --by evil --flagged\n"
        "  screen show chats.screen 7\n"
        "  screen sql chats.screen 'select code, count(*) from skipped group by 1'\n"
    )


def test_without_a_baseline_it_says_that_scores_are_projections(tmp_path: Path) -> None:
    said = summary_of(fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), baseline="none"))
    assert "scores are plain projections: there is no baseline, so nothing was subtracted\n" in said
    assert "row 7  +8.00" in said
    assert "base refused" not in said


def test_few_tokens_that_carry_flagged_scores_are_told(tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"))
    assert Scan.open(run).summary["traits"]["evil"]["flagged_few_tokens"] == 0  # the fake run has no shares
    summary = {"traits": {"evil": {"flagged": 35, "flagged_few_tokens": 12, "flagged_base_refused": 0}}}
    assert doubts(summary) == ["evil: in 12 of 35 flagged rows two tokens carry more than half of the score"]


def test_a_score_that_goes_with_length_is_told_where_rows_are_flagged() -> None:
    def told(rank: float | None, flagged: int) -> list[str]:
        stats = {"flagged": flagged, "flagged_base_refused": 0, "controls": {"length_correlation": rank}}
        return doubts({"traits": {"evil": stats}})

    (said,) = told(-0.62, 35)
    assert said.startswith("evil: the score goes with the answer's length (rank correlation -0.62)")
    assert "`screen cut RUN --by evil --match length`" in said
    assert told(0.3, 35) == told(0.62, 0) == told(None, 35) == []


def test_the_leading_trait_stands_furthest_above_its_threshold() -> None:
    def stats(top: float, threshold: float | None) -> dict[str, float | None]:
        return {"p50": 0.0, "p95": 1.0, "max": top, "threshold": threshold}

    traits = {"a": stats(3, 2), "b": stats(9, 5), "c": stats(90, None)}
    assert leading(traits, list(traits)) == "b"
    assert leading(traits, ["a", "c"]) == "a"
    assert leading(traits, []) is None


def test_a_run_without_one_scored_row_still_has_views(tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    scan = Scan.open(fake_run.write_run(chats, shards=0, finish=False))
    assert queries.top_rows(scan, "evil", "evil", 3, limit=None) == []
    assert threshold_of(scan, "evil").value == 5.5


def test_notes_of_the_embedded_model() -> None:
    facts = {"name": "pocket", "embedded": True, "device": "cpu", "dtype": "float32", "layers": 6, "batching": "packed"}
    assert notes.lines("model", facts) == [
        ("model", "pocket, the embedded model, cpu, float32, 6 layers"),
        ("", notes.EMBEDDED),
    ]
    proved = {**facts, "batching_reason": "agrees with batch 1"}
    told = ("batching", "packed (agrees with batch 1)")
    assert (told in notes.lines("model", proved), told in notes.lines("model", proved, verbose=True)) == (False, True)


def test_notes_that_nobody_knows_are_kept_for_the_curious() -> None:
    assert notes.lines("weather", {"sun": 1}) == []
    assert notes.lines("weather", {"sun": 1}, verbose=True) == [("weather", "sun: 1")]


def test_shapes_that_need_no_chat_template_say_where_their_mask_comes_from() -> None:
    facts = {"rung": "sentinel", "template": "plain"}
    assert len(notes.lines("mask", {**facts, "shape": "chat"})) == 2
    [(_, document)] = notes.lines("mask", {**facts, "shape": "document"})
    assert document == "document: running text, scored in windows"
    [(_, tokens)] = notes.lines("mask", {**facts, "shape": "tokenised"})
    assert tokens.startswith("tokens: ")
    [(_, segments)] = notes.lines("mask", {**facts, "shape": "segments"})
    assert segments == "sentinel: the dataset says which of its texts are scored"
    assert notes.lines("mask", {"rung": None}) == [("mask", "found row by row")]


def test_one_row_is_one_row() -> None:
    assert notes.lines("resume", {"done_rows": 1})[0][1].startswith("1 row of an earlier run is done and is not")
