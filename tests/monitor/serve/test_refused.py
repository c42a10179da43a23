"""What is refused before anything is passed on, and what detectors know after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.errors import StoreError, VectorError
from screen.monitor.change import EVERYTHING, Bar, Streams
from screen.monitor.serve.scorer.lines import MOST_GROUPS, Watching
from screen.monitor.serve.scorer.worker import opened
from screen.monitor.serve.settings import ScorerSettings
from screen.store.lock import Lock
from tests.cli.conftest import Screen, run, screen  # noqa: F401

SERVE = ("monitor", "serve", "--upstream", "http://127.0.0.1:9/v1", "-o", "watched", "--device", "cpu")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--upstream", "localhost:8000"), "--upstream 'localhost:8000' is no URL of a server"),
        (("--by", "header:Authorization"), "the header 'Authorization' may hold a secret"),
        (("--webhook", "hook"), "--webhook 'hook' is no URL"),
        (("--host", "no.such.host.invalid"), "'no.such.host.invalid' port 8010 cannot be listened on"),
        (("--device", "tpu"), "--device 'tpu': no such device"),
        (("--layer", "evil"), "--layer 'evil' is not of the form name=value"),
    ],
)
def test_flags_that_nothing_can_act_on(screen: Screen, more: tuple[str, ...], said: str) -> None:  # noqa: F811
    found = screen(*SERVE, *more)
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert "next: " in found.err


def test_one_proxy_a_folder(screen: Screen) -> None:  # noqa: F811
    Path("watched").mkdir()
    lock = Lock(Path("watched"))
    found = screen(*SERVE)
    lock.release()
    assert found.code == 2
    assert "is writing watched" in found.err


def test_a_bad_reference_and_vectors_of_another_model(tmp_path: Path, tiny_model: Path) -> None:
    bad = tmp_path / "bad.reference"
    bad.write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"bad.reference is not a reference, or is damaged"):
        opened(ScorerSettings(reference=str(bad)))
    with pytest.raises(VectorError, match="there are no vectors for the model"):
        opened(ScorerSettings(model=str(tiny_model)))


def message(at: int, group: str, score: float) -> dict[str, Any]:
    scores = {"evil": {"score": score, "projection": 0.0, "sds": None, "high": score > 2}}
    place = {"exchange": at, "choice": 0, "time": "t", "group": group}
    return {"kind": "message", **place, "tokens": "unknown", "unscored": None, "scores": scores}


def watching() -> Watching:
    return Watching(Streams({"evil": [Bar(1.0, 0.1)]}, per=50.0, window=5), 50.0)


def test_a_restart_in_the_middle_of_a_change_finds_it_where_it_would_have_been() -> None:
    lines = [message(i, "a" if i % 2 else "b", 0.5 if i < 20 else 2.0) for i in range(30)]
    whole = watching()
    expected = [alarm for line in lines for alarm in whole.take(line)]
    first, second = watching(), watching()
    found = [alarm for line in lines[:22] for alarm in first.take(line)]
    second.resume(first.state())
    found += [alarm for line in lines[22:] for alarm in second.take(line)]
    assert found == expected
    assert {alarm["group"] for alarm in found} >= {EVERYTHING}
    assert all(alarm["exchange"] >= 20 for alarm in found)  # type: ignore[operator]


def test_groups_beyond_what_is_kept_count_together() -> None:
    made = watching()
    for i in range(MOST_GROUPS + 50):
        made.take(message(i, f"g{i}", 0.0))
    counted = made.snapshot().outcomes
    assert len(counted) == MOST_GROUPS + 1
    assert counted["(others)", "scored"] == 50
