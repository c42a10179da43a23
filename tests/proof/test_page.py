"""docs/proof/: the page and its drawings are what the committed figures make, so that no number can differ."""

import pytest

from research.proof.page import SECTIONS, pages, read
from research.proof.study import DOCS, QUEUES

FOUND = read(DOCS)
MADE = pages(FOUND)


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_page_and_its_drawings_are_made_from_the_figures(name):
    assert (DOCS / name).read_text(encoding="utf-8") == MADE[name]


def test_no_drawing_is_left_that_no_figures_make():
    assert {path.name for path in DOCS.iterdir() if path.suffix != ".json"} == set(MADE)


def test_every_piece_of_the_study_has_a_section_and_every_file_is_a_piece():
    shown = {piece for pieces in SECTIONS.values() for piece in pieces}
    assert shown == {piece for queue in QUEUES for piece in queue} >= set(FOUND)
