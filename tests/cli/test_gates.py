"""`--fail-on`: what makes a run end with exit code 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.cli.runs import gates
from screen.errors import GateFailed, UsageError
from tests.cli.conftest import Screen

UNTOLD = {"kind": "cannot-tell", "sentence": "cannot tell with this model and these vectors: why"}
TRAIT = {"share": 0.025, "threshold": 4.0, "rule": "p99"}


def fails(given: list[str], **trait: Any) -> str:
    """What is said of the trait evil; "" where the gates hold."""
    try:
        gates.check(gates.parse(given), {"kind": TRAIT, "evil": {**TRAIT, **trait}}, Path("my run"))
    except GateFailed as error:
        return str(error)
    return ""


def test_a_share_above_its_gate() -> None:
    assert fails(["evil > 2.4 %"]) == (
        "evil: 2.50 % of samples are flagged, more than the 2.4 % of --fail-on\n"
        "  next: look at them: screen rank 'my run' --by evil --flagged"
    )
    assert fails(["evil>2.5%", "kind>100%"]) == ""
    assert fails(["evil>1%", "kind>1%"]).count("samples are flagged") == 2


@pytest.mark.parametrize(
    ("nothing", "why"),
    [({"share": None}, "no sample has a score"), ({"threshold": None}, "there is no threshold (p99)")],
)
def test_a_share_that_is_not_known(nothing: dict[str, Any], why: str) -> None:
    assert fails(["evil>50%"], **nothing).startswith(f"evil: {why}, so --fail-on cannot tell\n")


@pytest.mark.parametrize("gate", ["cannot-tell", "evil=cannot-tell", "evil = cannot-tell"])
def test_a_verdict_that_says_nothing(gate: str) -> None:
    assert fails([gate], verdict=UNTOLD).startswith(f"evil: {UNTOLD['sentence']}\n")
    for verdict in ({"kind": "review", "sentence": "x"}, {"kind": "nothing", "sentence": "x"}, None):
        assert fails([gate], verdict=verdict) == ""
    assert fails([gate]) == ""  # a summary from before verdicts
    assert fails(["kind=cannot-tell"], verdict=UNTOLD) == ""


def test_a_low_share_that_says_nothing() -> None:
    assert fails(["evil>50%"], verdict=UNTOLD).startswith(
        f"evil: only 2.50 % of samples are flagged, but that says nothing here: {UNTOLD['sentence']}\n"
    )
    assert "more than the 1 %" in fails(["evil>1%"], verdict=UNTOLD)
    assert fails(["evil>50%", "cannot-tell"], verdict=UNTOLD).count("\n") == 1  # said once


@pytest.mark.parametrize("text", ["evil>1", "evil", ">1%", "=cannot-tell", "cannot-tel", "evil>101%", "evil=1%", ""])
def test_a_gate_that_is_not_understood(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        gates.parse([text])


def test_a_trait_that_is_not_scored() -> None:
    for text in ("evill>1%", "evill=cannot-tell"):
        with pytest.raises(UsageError) as error:
            gates.check_names(gates.parse([text]), ["evil", "kind"])
        assert str(error.value) == (
            "--fail-on names 'evill', which is not scored\n  next: did you mean evil? scored are evil, kind"
        )
    gates.check_names(gates.parse(["cannot-tell", "evil>1%"]), ["evil", "kind"])


def test_the_exit_code(screen: Screen, chats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screen.cli.runs.run.perform", lambda *a: {"traits": {"evil": {**TRAIT, "verdict": UNTOLD}}})
    monkeypatch.setattr("screen.cli.runs.run._report", lambda *a: None)
    assert screen("run", "chats.jsonl", "--device", "cpu", "--traits", "evil").code == 0
    assert screen("run", "chats.jsonl", "--device", "cpu", "--traits", "evil", "--fail-on", "cannot-tell").code == 1
