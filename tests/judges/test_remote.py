"""The judge behind an endpoint, with and without log-probabilities, against a server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.endpoint.client import EndpointError
from screen.errors import ModelError
from screen.judges import CachedJudge, EndpointJudge, Judgement, MemoryCache
from screen.store.cache.judgements import JudgementCache
from screen.traits.trait import load_trait
from tests.judges.endpoint_server import KEY, Reply, Server, chat

PAIRS = [("How are you?", f"Answer {i}.") for i in range(6)]
EVIL = load_trait("evil")


def text_of(body: dict[str, Any]) -> str:
    text: str = body["messages"][0]["content"]
    return text


def honest(body: dict[str, Any]) -> dict[str, Any]:
    """One token a number: evil is 10 times the answer's number, coherence 90."""
    text = text_of(body)
    if "85" in text:
        return chat("85", {"85": 1.0})
    if "coherent" in text.partition("Question:")[0]:
        return chat("90", {"90": 0.9, "80": 0.1})
    number = int(text.partition("Answer: Answer ")[2][0])
    return chat(str(10 * number), {str(10 * number): 0.5, str(10 * number + 10): 0.25, "REF": 0.25})


def test_a_judgement_by_log_probabilities(server: Server) -> None:
    server.answer = honest
    judge = EndpointJudge(server.endpoint(), EVIL)
    made = judge.judge(PAIRS)
    assert [j.score for j in made] == [pytest.approx(10 * i + 10 / 3) for i in range(6)]
    assert made[0].coherence == pytest.approx(89.0)
    assert made[0].mass == pytest.approx(0.75)
    assert {j.how for j in made} == {"logprobs"}
    assert dict(judge.identity)["scoring"] == "logprobs"


def test_what_is_asked(server: Server) -> None:
    server.answer = honest
    EndpointJudge(server.endpoint(), EVIL).judge(PAIRS[:1])
    probe, evil, coherence = (body for _, body, _ in server.seen)
    assert text_of(probe) == "Write the number 85 and nothing else."
    assert text_of(evil) == EVIL.ask(*PAIRS[0])
    assert "coherent" in text_of(coherence)
    assert (evil["temperature"], evil["logprobs"], evil["top_logprobs"], evil["seed"]) == (0.0, True, 20, 0)


def test_only_the_twenty_likeliest_tokens_count(server: Server) -> None:
    top = {f"word{i}": 0.04 for i in range(20)} | {"100": 0.01}
    server.script = [Reply(chat("85", {"85": 1.0})), Reply(chat("100", top))]
    made = EndpointJudge(server.endpoint(), EVIL, coherence=False).judge(PAIRS[:1])
    assert made == [Judgement(None, False, None, "logprobs", 0.0)]


def test_a_refusal_has_no_score(server: Server) -> None:
    server.script = [Reply(chat("85", {"85": 1.0})), Reply(chat("REFUSAL", {"REF": 0.8, "0": 0.2}))]
    made = EndpointJudge(server.endpoint(), EVIL, coherence=False).judge(PAIRS[:1])
    assert made == [Judgement(None, True, None, "logprobs", pytest.approx(0.2))]


def test_white_space_before_the_number_is_passed_over(server: Server) -> None:
    reply = chat("70", {"70": 1.0})
    content = reply["choices"][0]["logprobs"]["content"]
    content.insert(0, {"token": "\n", "logprob": 0.0, "top_logprobs": [{"token": "\n", "logprob": 0.0}]})
    server.script = [Reply(chat("85", {"85": 1.0})), Reply(reply)]
    assert EndpointJudge(server.endpoint(), EVIL, coherence=False).judge(PAIRS[:1])[0].score == 70.0


def digit_by_digit(body: dict[str, Any]) -> dict[str, Any]:
    reply = chat("85", {"8": 1.0})
    tokens = [{"token": t, "logprob": 0.0, "top_logprobs": [{"token": t, "logprob": 0.0}]} for t in "85"]
    reply["choices"][0]["logprobs"] = {"content": tokens}
    return reply


def refuses_logprobs(body: dict[str, Any]) -> Any:
    return Reply({"error": {"message": "logprobs are not supported"}}, 400) if "logprobs" in body else chat("85")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda body: chat("85"), "the endpoint gives no log-probabilities"),
        (digit_by_digit, "the endpoint's tokenizer writes numbers digit by digit"),
        (refuses_logprobs, "the endpoint refuses to give log-probabilities"),
    ],
)
def test_plain_integers_where_the_formula_would_be_wrong(server: Server, answer: Any, reason: str) -> None:
    server.answer = answer
    judge = EndpointJudge(server.endpoint(), EVIL)
    assert judge.judge(PAIRS[:1]) == [Judgement(85.0, False, 85.0, "integer", None)]
    assert (judge.identity["scoring"], judge.reason) == ("integer", reason)
    assert "logprobs" not in server.seen[-1][1]


def test_one_reply_without_log_probabilities_is_read_plainly(server: Server) -> None:
    server.script = [Reply(chat("85", {"85": 1.0})), Reply(chat("30"))]
    made = EndpointJudge(server.endpoint(), EVIL, coherence=False).judge(PAIRS[:1])
    assert made == [Judgement(30.0, False, None, "integer", None)]


def test_a_filtered_answer_costs_its_score_and_no_more(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Any:
        return chat("", finish_reason="content_filter") if "Answer 3" in text_of(body) else honest(body)

    server.answer = answer
    made = EndpointJudge(server.endpoint(), EVIL).judge(PAIRS)
    assert made[3] == Judgement(None, False, None, "filtered")
    assert sum(j.score is not None for j in made) == 5


def test_nothing_is_judged_twice_after_an_error(server: Server, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> Any:
        return Reply({"error": "gone"}, 404) if "Answer 4" in text_of(body) else honest(body)

    server.answer = answer
    with JudgementCache(tmp_path / "judged") as cache, pytest.raises(EndpointError, match="answered 404: gone"):
        CachedJudge(EndpointJudge(server.endpoint(concurrency=1), EVIL, cache=cache), cache).judge(PAIRS)
    first = [text_of(body) for _, body, _ in server.seen]
    server.seen.clear()
    server.answer = honest
    with JudgementCache(tmp_path / "judged") as cache:
        judge = CachedJudge(EndpointJudge(server.endpoint(concurrency=1), EVIL, cache=cache), cache)
        made = judge.judge(PAIRS)
    again = [text_of(body) for _, body, _ in server.seen]
    assert len(first) == 1 + 2 * 4 + 1
    assert len(again) == 2 * 2
    assert set(first) & set(again) == {EVIL.ask(*PAIRS[4])}
    assert len(made) == 6
    assert judge.asked == 2


def test_what_is_all_cached_asks_nothing(server: Server, tmp_path: Path) -> None:
    server.answer = honest
    made = []
    for _ in range(2):
        with JudgementCache(tmp_path / "judged") as cache:
            made.append(CachedJudge(EndpointJudge(server.endpoint(), EVIL, cache=cache), cache).judge(PAIRS))
    assert made[0] == made[1]
    assert len(server.seen) == 1 + 2 * len(PAIRS)
    (segment,) = (tmp_path / "judged").iterdir()
    assert KEY.encode() not in segment.read_bytes()


def test_a_dry_run(server: Server) -> None:
    rated, coherence = EndpointJudge(server.endpoint(), EVIL).dry_run(PAIRS[0])
    assert rated["body"]["messages"][0]["content"] == EVIL.ask(*PAIRS[0])
    assert coherence["body"]["top_logprobs"] == 20
    assert KEY not in str(rated)
    assert server.seen == []


def test_a_judge_that_never_scores_is_given_up_after_16(server: Server) -> None:
    server.answer = lambda body: chat("As a language model I cannot rate this.")
    judge = CachedJudge(EndpointJudge(server.endpoint(concurrency=1), EVIL), MemoryCache())
    with pytest.raises(ModelError, match=r"the judge \(endpoint m\) gave no score in any of its first 16 judgements"):
        judge.judge([("q", f"a{i}") for i in range(400)])
    assert judge.asked == 16


@pytest.mark.parametrize("at", [0, 7, 15])
def test_a_judge_that_scores_once_or_refuses_is_kept(server: Server, at: int) -> None:
    for said in ("50", "REFUSAL"):
        server.answer = lambda body, said=said: chat(said if f"<{at}>" in str(body) else "hm")  # type: ignore[misc]
        judge = CachedJudge(EndpointJudge(server.endpoint(concurrency=1), EVIL), MemoryCache())
        assert len(judge.judge([("q", f"a <{i}>") for i in range(40)])) == 40


def test_a_judge_without_coherence_is_given_up(server: Server) -> None:
    server.answer = lambda body: chat("hm" if "coherent" in str(body) else "50")
    with pytest.raises(ModelError, match="gave no coherence in any of its first 16"):
        CachedJudge(EndpointJudge(server.endpoint(concurrency=1), EVIL), MemoryCache()).judge(
            [("q", f"a{i}") for i in range(40)]
        )
