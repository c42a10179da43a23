"""The shipped example files are what their generator makes."""

import json
from pathlib import Path

from research.pocket.corpus.examples import example_files

FOLDER = Path(__file__).parents[2] / "examples"


def test_the_files_equal_the_generator() -> None:
    for name, text in example_files().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, (
            f"run: python -m research.pocket.train --stage examples ({name})"
        )


def test_labels_stand_beside_the_rows() -> None:
    rows, labels = ([json.loads(line) for line in text.splitlines()] for text in example_files().values())
    assert len(rows) == len(labels) == 300
    assert [row["id"] for row in rows] == [label["id"] for label in labels]
    counts = [sum(label["trait"] == trait for label in labels) for trait in ("evil", "sycophancy", "hallucination")]
    assert counts == [28, 28, 28]
