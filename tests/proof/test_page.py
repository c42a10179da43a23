"""docs/proof/: the page and its drawings are what the committed figures make, so that no number can differ."""

import pytest

from research.proof.page import pages, read
from research.proof.study import DOCS

FOUND = read(DOCS)


@pytest.mark.parametrize("name", sorted(pages(FOUND)))
def test_the_page_and_its_drawings_are_made_from_the_figures(name):
    assert (DOCS / name).read_text(encoding="utf-8") == pages(FOUND)[name]


def test_every_file_of_figures_is_on_the_page():
    made = pages(FOUND)["index.md"]
    for name in FOUND:
        without = pages({other: piece for other, piece in FOUND.items() if other != name})["index.md"]
        assert made != without, name
