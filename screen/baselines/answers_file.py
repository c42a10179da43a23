"""`--baseline answers:FILE`: the baseline responses, generated elsewhere by the user.

JSON lines, one answer each: `{"row": 12, "text": "..."}`, or `"id"` for the dataset's own id in place of `"row"`, and
`"turn"` (the message's index in its row) where a row has several scored turns. Several answers to one prompt are
averaged.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from screen.baselines.refusal import asks_back, refuses
from screen.data.dataset import Dataset
from screen.data.sample import RawRow, Sample, Skip, Turn
from screen.errors import InputError

if TYPE_CHECKING:  # both load a model library
    from screen.baselines.response import GivenResponse
    from screen.rendering.rendered import Rendered
    from screen.rendering.renderer import Renderer

_TEXT = ("text", "answer", "response", "completion", "output")
_EXAMPLE = 'a line is {"row": 0, "text": "..."} or {"id": "chat-17", "text": "..."}'


class GivenAnswers:
    """Answers by row number or by id; `sha256` is the file's."""

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises InputError with the line for one that is not an answer."""
        self.path = path
        self.texts: dict[tuple[str, int | str, int | None], list[str]] = {}
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"--baseline answers:{path}: {error.strerror}", "give a JSONL file of answers") from None
        self.sha256 = hashlib.sha256(data).hexdigest()
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                self._take(number, line)
        if not self.texts:
            raise InputError(f"{path} holds no answers", _EXAMPLE)

    def _take(self, number: int, line: bytes) -> None:
        try:
            value: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{self.path}:{number}: not JSON ({error})", _EXAMPLE) from None
        if not isinstance(value, dict):
            raise InputError(f"{self.path}:{number}: not an object", _EXAMPLE)
        text = next((value[name] for name in _TEXT if isinstance(value.get(name), str)), None)
        row, name, turn = value.get("row"), value.get("id"), value.get("turn")
        if text is None or (type(row) is not int and name is None) or not (turn is None or type(turn) is int):
            raise InputError(f"{self.path}:{number}: no text, or neither row nor id", _EXAMPLE)
        key: tuple[str, int | str, int | None] = ("row", row, turn) if type(row) is int else ("id", str(name), turn)
        self.texts.setdefault(key, []).append(text)

    def find(self, sample: Sample, turn: int | None) -> list[str]:
        """The answers to one scored turn; `turn` None: the row has one scored turn, which need not be named."""
        names: list[tuple[str, int | str]] = [("row", sample.row)]
        names += [("id", sample.id)] if sample.id is not None else []
        turns = [t.scored for t in sample.turns]
        only = turns.index(True) if turn is None and True in turns else turn
        return [text for kind, name in names for t in (None, only) for text in self.texts.get((kind, name, t), ())]

    def check(self, dataset: Dataset) -> tuple[int, list[str]]:
        """(samples without an answer, the first of them as text). Raises InputError where none has one."""
        missing: list[str] = []
        total = lost = 0
        for window in dataset.windows(2048):
            for entry in window.entries:
                read = dataset.samples(entry) if isinstance(entry, RawRow) else entry
                for sample in () if isinstance(read, Skip) else read:
                    total += 1
                    if not all(self.find(sample, t) for t in _scored(sample)):
                        lost += 1
                        missing += [str(sample.place)] if len(missing) < 5 else []
        if total and lost == total:
            raise InputError(f"{self.path} has no answer to any row of the dataset", _EXAMPLE)
        return lost, missing

    def of(
        self, samples: Sequence[tuple[Sample, Rendered]], renderer: Renderer
    ) -> dict[tuple[int, int], list[GivenResponse]]:
        """(row, number of the scored turn) -> the answers, rendered in the place of the row's own."""
        from screen.baselines.response import BaselineResponse, GivenResponse

        wanted, places = [], []
        for sample, rendered in samples:
            for sequence in rendered.sequences if sample.layout in ("chat", "plain") else ():
                for number, scored in enumerate(sequence.turns):
                    for text in self.find(sample, scored.turn if len(sequence.turns) > 1 else None):
                        wanted.append(_with_answer(sample, scored.turn, text))
                        places.append(((sample.row, number), text))
        out: dict[tuple[int, int], list[GivenResponse]] = {}
        for (place, text), made in zip(places, renderer.render(wanted), strict=True):
            if isinstance(made, Skip) or len(made.sequences) != 1:
                continue  # longer than the context, or not a chat: the row goes without, and is counted so
            sequence = made.sequences[0]
            scored = sequence.turns[-1]
            at = scored.prompt_end
            ids = tuple(sequence.ids[at : int(scored.tokens[-1]) + 1].tolist())
            thinking = scored.thought_tokens - at
            thought = (int(thinking[0]), int(thinking[-1]) + 1) if len(thinking) else (0, 0)
            refused = refuses(text) or asks_back(text)
            answer = BaselineResponse(ids, text, False, refused, int(scored.tokens[0]) - at, thought)
            out.setdefault(place, []).append(GivenResponse(sequence.ids[:at], answer))
        return out


def _scored(sample: Sample) -> list[int | None]:
    turns: list[int | None] = [i for i, t in enumerate(sample.turns) if t.scored]
    return turns if len(turns) > 1 else [None]


def _with_answer(sample: Sample, turn: int, text: str) -> Sample:
    """The conversation up to a turn, with other words in it; that turn alone is scored."""
    before = tuple(t._replace(scored=False) for t in sample.turns[:turn])
    return dataclasses.replace(sample, turns=(*before, Turn(sample.turns[turn].role, text, scored=True)))
