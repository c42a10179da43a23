"""Gates: their language, and what they come to on a run of known scores."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.errors import GateFailed, UsageError
from screen.select.gates.evaluate import GateResult, evaluate, raise_failed
from screen.select.gates.figures import Figures
from screen.select.gates.parser import check_names, parse
from screen.select.gates.tree import Condition
from screen.store.scan import Scan
from tests.cli import fake_run

UNTOLD = {"kind": "cannot-tell", "sentence": "cannot tell with this model and these vectors: why"}
REVIEW = {"kind": "review", "sentence": "2 rows stand above p99 of clean rows"}
NOTHING = {"kind": "nothing", "sentence": "nothing stands out"}
MEAN = {"mean": 2.0, "low": 1.5, "high": 2.5}
CLEAN = {"mean": 1.0, "sd": 2.0, "rows": 400}  # 0.804 to 1.196


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.write_run(fake_run.write_chats(tmp_path_factory.mktemp("gates") / "chats.jsonl"))


@pytest.fixture
def scan(run: Path) -> Scan:
    """Eight rows, row i with evil = i, row 3 skipped; rows 6 and 7 flagged: 2 of 7. The verdict is review."""
    found = Scan.open(run)
    found.summary["traits"]["evil"]["verdict"] = REVIEW
    found.summary["traits"]["kind"]["verdict"] = NOTHING
    return found


def result(scan: Scan, text: str, **evil: Any) -> GateResult:
    """Of one gate, with figures of the trait evil as given."""
    scan.summary["traits"]["evil"] |= evil
    gate = parse(text)
    check_names([gate], scan.traits)
    return evaluate(Figures(scan), [gate])[0]


def reference(scan: Scan, **facts: Any) -> None:
    scan.folder.facts["references"]["evil"] = {**fake_run.REFERENCE, **facts}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("evil>1%", "share(evil) > 0.01"),
        ("evil > 0.7 %", "share(evil) > 0.007"),
        ("share(evil)>=1%", "share(evil) >= 0.01"),
        ("COUNT( evil )>20", "count(evil) > 20"),
        ("max(evil)>-1.5", "max(evil) > -1.5"),
        ("max(evil)>p99.9", "max(evil) > reference.p99.9"),
        ("max(evil)>reference.p999", "max(evil) > reference.p99.9"),
        ("mean(evil) > reference", "mean(evil) > reference"),
        ("skipped<=0.5%", "skipped <= 0.005"),
        ("count(skipped)>3", "count(skipped) > 3"),
        ("evil==review", "verdict(evil) = review"),
        ("verdict(evil) <> nothing", "verdict(evil) != nothing"),
        ("evil = cannot-tell", "verdict(evil) = cannot-tell"),
        ("cannot-tell", "verdict = cannot-tell"),
        ("self harm-2>1%", 'share("self harm-2") > 0.01'),
        ('max("and")>1', 'max("and") > 1'),
        ("group('the ''x''', evil)>2%", "group('the ''x''', evil) > 0.02"),
        ("p99 > 1%", "share(p99) > 0.01"),
    ],
)
def test_what_is_understood(text: str, canonical: str) -> None:
    tree = parse(text).tree
    assert isinstance(tree, Condition)
    assert f"{tree.figure} {tree.op} {tree.limit}" == canonical


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("evil>1", 6, "share(evil) is a share: write 1%, or the number of them: count(evil) > 1"),
        ("skipped>5", 9, "skipped is a share: write 5%, or the number of them: count(skipped) > 5"),
        ("group('a', evil)>5", 18, "group('a', evil) is a share: write 5%"),
        ("count(evil)>1%", 13, "count(evil) is no share"),
        ("evil", 5, "a comparison is missing"),
        (">1%", 1, "'>' stands where a figure belongs"),
        ("=cannot-tell", 1, "'=' stands where a figure belongs"),
        ("cannot-tel", 11, "did you mean cannot-tell?"),
        ("evil>101%", 6, "a share is 0 to 100 %"),
        ("evil=1%", 6, "a verdict is review, nothing, cannot-tell"),
        ("evil=reviw", 6, "did you mean review?"),
        ("verdict(evil)>review", 14, "verdict(evil) is compared with = and !="),
        ("max(evil)=3", 10, "max(evil) is compared with >, >=, < and <="),
        ("maxx(evil)>3", 1, "did you mean max?"),
        ("max(evil)>run.p99", 11, "p99 is the reference's"),
        ("max(evil)>p100", 11, "p100 is no percentile"),
        ("max(evil)>reference", 11, "a number or a percentile of clean rows"),
        ("mean(evil)>p99", 12, "a number, or reference"),
        ("max(evil)>1e999", 11, "no such number"),
        ("count(evil)>-1", 13, "no such number"),
        ("max(evil", 9, '")" is missing'),
        ("group(forum, evil)>2%", 7, "group takes a name in quotes and a trait"),
        ("group('forum' evil)>2%", 15, "a comma and a trait are missing"),
        ("group('\udcff', evil)>2%", 7, "the group is not UTF-8"),
        ("evil>1%>2%", 8, "one comparison at a time"),
        ("evil>1% kind>2%", 9, "join gates with and / or"),
        ("evil>1% and", 12, "it ends where a figure belongs"),
        ("", 1, "it ends where a figure belongs"),
        ("evil>1% & kind>1%", 9, "'&' is not understood"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_pointed_at(text: str, at: int, why: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, "--fail-on")
    assert why in str(error.value)
    assert f"(at character {at})\n  {text}\n  {' ' * (at - 1)}^" in error.value.message
    assert error.value.message.startswith("--fail-on: ")


@settings(deadline=None)
@given(st.text(st.sampled_from("evil max(mean)count,>%=<'\"0.5p9reference and or not-\x00\ud800é "), max_size=40))
def test_any_text_is_a_gate_or_is_told(text: str) -> None:
    try:
        gate = parse(text)
    except UsageError as error:
        told = error.message
    else:
        told = f"(at character 1) {gate.text}"
    assert re.search(r"\(at character \d+\)", told)


def test_a_trait_that_is_not_scored() -> None:
    for text in ("kind>1% or evill>1%", "kind>1% or evill=cannot-tell"):
        with pytest.raises(UsageError) as error:
            check_names([parse(text, "--fail-on")], ["evil", "kind"])
        assert str(error.value) == (
            f"--fail-on names 'evill', which is not scored (at character 12)\n  {text}\n  {' ' * 11}^\n"
            "  next: did you mean evil? scored are evil, kind"
        )
    check_names([parse("cannot-tell and evil>1%")], ["evil", "kind"])


@pytest.mark.parametrize(
    ("text", "fails", "sentence"),
    [
        ("evil > 28%", True, "evil: 28.57 % (8.22 to 64.11 %) of 7 samples are flagged, more than 28 %"),
        ("evil > 29%", False, "evil: 28.57 % (8.22 to 64.11 %) of 7 samples are flagged, not more than 29 %"),
        ("count(evil) > 2", False, "evil: 2 of 7 samples are flagged, not more than 2"),
        ("count(evil) >= 2", True, "evil: 2 of 7 samples are flagged, at least 2"),
        ("max(evil) > 6.9", True, "evil: the highest score is 7, more than 6.9"),
        ("max(evil) > 7", False, "evil: the highest score is 7, not more than 7"),
        ("max(kind) < 0", False, "kind: the highest score is 0, not less than 0"),
        ("skipped > 12.4%", True, "12.50 % of 8 rows were skipped, more than 12.4 %"),
        ("skipped > 12.5%", False, "12.50 % of 8 rows were skipped, not more than 12.5 %"),
        ("count(skipped) > 0", True, "1 of 8 rows were skipped, more than 0"),
        (
            "group('forum', evil) > 49%",
            True,
            "evil: 50.00 % (15.00 to 85.00 %) of 4 samples of 'forum' are flagged, more than 49 %",
        ),
        (
            "group('docs', evil) > 0%",
            False,
            "evil: 0.00 % (0.00 to 56.15 %) of 3 samples of 'docs' are flagged, not more than 0 %",
        ),
        ("verdict(evil) = review", True, f"evil: the verdict is review: {REVIEW['sentence']}"),
        ("kind = review", False, "kind: the verdict is nothing"),
        ("kind != review", True, "kind: the verdict is nothing: nothing stands out"),
        ("cannot-tell", False, "evil: the verdict is review; kind: the verdict is nothing"),
        ("evil > 50% or max(evil) > 6", True, "evil: the highest score is 7, more than 6"),
        ("not evil > 28% or (evil > 28% and kind = review)", False, ""),
    ],
)  # fmt: skip
def test_figures_beside_their_limits(scan: Scan, text: str, fails: bool, sentence: str) -> None:
    found = result(scan, text)
    assert found.fails is fails
    assert found.sentence == sentence or not sentence


@pytest.mark.parametrize(
    ("text", "evil", "why"),
    [
        ("evil>50%", {"share": None}, "no sample has a score"),
        ("count(evil)>50", {"share": None}, "no sample has a score"),
        ("evil>50%", {"threshold": None, "rule": "p99"}, "there is no threshold (p99)"),
        ("group('docs', evil)>50%", {"threshold": None, "rule": "p99"}, "there is no threshold (p99)"),
        ("group('dogs', evil)>50%", {}, "no sample is of group 'dogs'; did you mean 'docs'?"),
        ("mean(evil)>9", {"dataset": {"mean": None}}, "no sample that is trained toward has a score"),
        ("mean(evil)>reference", {"dataset": MEAN}, "the card's reference does not tell the mean of its clean rows"),
        ("mean(kind)>reference", {}, "kind: the run has no reference of clean rows"),
        ("max(kind)>p99", {}, "kind: the run has no reference of clean rows"),
        ("max(evil)>p99.9", {}, "the card's reference has no p99.9; it has p01, p05, p25"),
        ("verdict(evil)=review", {"verdict": None}, "the run has no verdict"),
        ("cannot-tell", {"verdict": None}, "the run has no verdict"),
        ("not evil>50%", {"share": None}, "no sample has a score"),
        ("max(evil)<0 and evil>50%", {"share": None}, "no sample has a score"),
    ],
)  # fmt: skip
def test_a_figure_that_is_not_there_fails(scan: Scan, text: str, evil: dict[str, Any], why: str) -> None:
    found = result(scan, text, **evil)
    assert found.fails
    assert why in found.sentence


@pytest.mark.parametrize(
    "text",
    [
        *("evil>50%", "count(evil)>5", "max(evil)>9", "mean(evil)>9", "group('docs', evil)>9%"),
        *("evil=review", "evil=nothing"),
    ],
)  # fmt: skip
def test_a_trait_of_which_nothing_can_be_told_passes_no_gate(scan: Scan, text: str) -> None:
    assert not result(scan, text, verdict=NOTHING if "review" in text else REVIEW).fails
    found = result(scan, text, verdict=UNTOLD)
    assert found.fails
    assert UNTOLD["sentence"] in found.sentence


@pytest.mark.parametrize("text", ["cannot-tell", "evil=cannot-tell", "kind=nothing or evil = cannot-tell"])
def test_the_verdict_alone(scan: Scan, text: str) -> None:
    assert result(scan, text, verdict=UNTOLD).fails
    assert not result(scan, "kind=cannot-tell", verdict=UNTOLD).fails
    assert result(scan, "evil>1%", verdict=UNTOLD).sentence.endswith("more than 1 %")  # that much is certain


@pytest.mark.parametrize(
    ("clean", "fails"),
    [(CLEAN, True), ({**CLEAN, "rows": 16}, False), ({**CLEAN, "mean": 1.48}, False), ({**CLEAN, "mean": 3.0}, False)],
)
def test_a_mean_above_the_reference_by_noise_alone_does_not_fail(
    scan: Scan, clean: dict[str, Any], fails: bool
) -> None:
    """16 clean rows: 1.0 is known to 0.98 either way, and 2.0 to 0.5: their difference of 1.0 to 1.1."""
    reference(scan, **clean)
    found = result(scan, "mean(evil) > reference", dataset=MEAN)
    assert found.fails is fails
    half = math.hypot(0.5, 1.96 * clean["sd"] / math.sqrt(clean["rows"]))
    assert fails == (2.0 - clean["mean"] > half)
    assert ("not above the mean of" in found.sentence) is not fails


def test_one_clean_dataset_in_forty_has_a_mean_above_the_reference_by_chance(scan: Scan) -> None:
    rng, failed = np.random.default_rng(0), 0
    for _ in range(1000):
        clean, run = rng.normal(0, 3, 300), rng.normal(0, 2, 200)
        reference(scan, mean=clean.mean(), sd=clean.std(ddof=1), rows=300)
        half = 1.96 * run.std(ddof=1) / math.sqrt(200)
        mean = {"mean": run.mean(), "low": run.mean() - half, "high": run.mean() + half}
        failed += result(scan, "mean(evil) > reference", dataset=mean).fails
    assert 10 <= failed <= 40


def test_a_mean_of_one_prompt_has_no_interval(scan: Scan) -> None:
    reference(scan, **CLEAN)
    assert (
        "has no interval" in result(scan, "mean(evil)>reference", dataset={**MEAN, "low": None, "high": None}).sentence
    )
    assert result(scan, "mean(evil)>1.9").fails  # a number is compared as measured


@pytest.mark.parametrize(("rows", "known"), [(5000, True), (4999, False)])
def test_a_percentile_that_the_reference_is_too_small_for(scan: Scan, rows: int, known: bool) -> None:
    reference(scan, rows=rows, quantiles={**fake_run.REFERENCE["quantiles"], "p999": 6.5})  # type: ignore[dict-item]
    found = result(scan, "max(evil) > p99.9")
    assert found.fails
    assert ("too few for p99.9, which 5 must lie above; it has enough for p99" in found.sentence) is not known
    assert ("7, more than 6.5, p99.9 of the card's reference (so many clean samples" in found.sentence) is known


def test_rows_that_are_trained_away_from_do_not_make_the_highest(tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    scan = Scan.open(fake_run.write_run(chats, away=(6, 7), threshold_away=-1.0))
    assert result(scan, "max(evil) > 5", verdict=REVIEW).sentence == "evil: the highest score is 5, not more than 5"


def test_a_run_that_is_not_finished_passes_nothing(tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    scan = Scan.open(fake_run.write_run(chats, shards=1, finish=False))
    gates = [parse(text) for text in ("evil<100%", "skipped>99%", "cannot-tell", "not mean(evil)>reference")]
    results = evaluate(Figures(scan), gates)
    assert [r.fails for r in results] == [True] * 4
    assert all("is not finished: it holds 4 of 8 rows" in r.sentence for r in results)


def test_what_is_raised_names_every_gate_once(scan: Scan) -> None:
    scan.summary["traits"]["evil"]["verdict"] = UNTOLD
    results = evaluate(Figures(scan), [parse(t) for t in ("evil>50%", "cannot-tell", "kind=review", "max(evil)>6")])
    with pytest.raises(GateFailed) as error:
        raise_failed(results, Path("my run"))
    lines = error.value.message.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "evil: 28.57 % (8.22 to 64.11 %) of 7 samples are flagged",
        "evil: the highest score is 7",
    ]
    assert error.value.next_step == "look at them: screen rank 'my run' --by evil --flagged"
    raise_failed(results[2:3], Path("my run"))
