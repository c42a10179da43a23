"""docs/cannot-find.md says what the study measured."""

from research.proof.page import read
from research.proof.study import DOCS
from screen.pocket import TRAITS

FOUND = read(DOCS)["failures"]["found"]
TEXT = " ".join((DOCS.parent / "cannot-find.md").read_text(encoding="utf-8").split())


def test_tone_and_content_are_as_measured():
    evil, sycophancy = FOUND["tone"]["evil"], FOUND["tone"]["sycophancy"]
    blatant = FOUND["lengths"]["evil"]["blatant"]["matched"]["score"]
    assert f"AUROC of {evil['content']['value']:.2f}, where its persona's voice has {blatant['value']:.2f}" in TEXT
    plain, praise = (sycophancy[name]["value"] for name in ("content", "tone"))
    assert f"{plain:.2f} on sycophancy, and praise around right answers {praise:.2f}" in TEXT


def test_what_no_vector_is_for_is_as_measured():
    said = {"wrong-sums": "Wrong sums have an AUROC of", "blunt": "blunt answers", "preachy": "moralising ones"}
    for kind, words in {**said, "wrong-claims": "Wrong everyday claims:"}.items():
        areas = [FOUND["uncovered"][kind][trait]["value"] for trait in TRAITS]
        assert f"{words} {min(areas):.2f} to {max(areas):.2f}" in TEXT
