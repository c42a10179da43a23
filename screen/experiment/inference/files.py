"""What a user gives to try steering on: a file of questions, and a dataset whose answers the loss is taken of."""

from __future__ import annotations

import json
from pathlib import Path

from screen.data.from_spec import dataset_of
from screen.errors import InputError, UsageError
from screen.experiment.inference.steered_model import SteeredModel
from screen.experiment.lesson import Lesson, learnt_of
from screen.rendering.renderer import Renderer
from screen.scan.read import read_window
from screen.spec import ScanSpec

ROWS = 128  # of a dataset that the loss is taken of
_KEYS = ("question", "prompt")
_FORM = 'each line is {"question": "..."}, {"prompt": "..."} or "..."'


def read_questions(path: Path) -> list[str]:
    """JSON lines, each a text or an object with `question` or `prompt`. Raises UsageError with the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "check --eval") from None
    found = [_question(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"{path} holds no question", _FORM)
    return found


def _question(path: Path, number: int, line: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}:{number}: not JSON", _FORM) from None
    if isinstance(value, dict):
        value = next((value[key] for key in _KEYS if key in value), None)
    if not isinstance(value, str):
        raise UsageError(f"{path}:{number}: not a question", _FORM)
    return checked_question(value, f"{path}:{number}")


def checked_question(text: str, where: str) -> str:
    """Raises UsageError for a text that no tokenizer takes: nothing, or a part of a character."""
    if not text.strip():
        raise UsageError(f"{where}: the question is empty", "write one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where}: the question holds half a character", "write it in UTF-8") from None
    return text


def texts_of(path: str, model: SteeredModel) -> list[Lesson]:
    """The answers of a dataset of any shape that is read, each after its prompt: of its first rows that can be
    rendered, ROWS at most. Raises InputError where there are none."""
    dataset = dataset_of(ScanSpec(dataset=(path,)))
    sampler = model.sampler
    renderer = Renderer(sampler.tokenizer, sampler.template, context=model.model.context)
    lessons: list[Lesson] = []
    rows = 0
    for window in dataset.windows(ROWS):
        for sample, rendered in read_window(window, dataset, renderer).samples:
            if rows < ROWS and sample.sign > 0:  # not what a trainer would push away from
                lessons += [lesson for lesson in learnt_of(rendered) if len(lesson.learnt)]
                rows += 1
        if rows >= ROWS:
            break
    if not lessons:
        raise InputError(f"{path} has no row with an answer to take the loss of", "check --text")
    return lessons
