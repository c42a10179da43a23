"""Measures the embedded model: `python -m research.pocket.report`. Writes the figures into docs/embedded-model.md."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch

from research.pocket.corpus.chats import Mixed, mixed
from research.pocket.corpus.examples import example_set
from research.pocket.elsewhere import ROWS, elsewhere_table
from research.pocket.observed import observe
from research.pocket.trials import RANDOM_VECTORS, Separation, default_rates, persona_rate, separation, steering_rate
from research.pocket.workshop import open_pocket
from screen.building.workshop import Workshop
from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.stats import Interval, share
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector

_DOC: Final = Path(__file__).parents[2] / "docs" / "embedded-model.md"
_BEGIN, _END = "<!-- figures: written by python -m research.pocket.report -->", "<!-- end of figures -->"
_QUESTIONS: Final = 400
_ROWS: Final = 2000


def main() -> None:
    """Measure, print, and replace the figures in the document."""
    parser = argparse.ArgumentParser(prog="python -m research.pocket.report", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public sets, to add the figures on unseen text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # small batches: a second thread mostly waits
    with TemporaryDirectory() as work:
        text = "\n".join(_parts(open_pocket(Path(work)), arguments.data))
    print(text)
    if _DOC.is_file():
        before, rest = _DOC.read_text(encoding="utf-8").split(_BEGIN)
        _DOC.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{rest.split(_END)[1]}", encoding="utf-8")


def _parts(shop: Workshop, data: Path | None) -> list[str]:
    vectors = {trait: load_vector(VECTORS_DIR / f"{trait}.safetensors") for trait in TRAITS}
    parts = [_size(), *_behaviour(shop, vectors)]
    parts += _separations("the example set", shop, vectors, example_set())
    planted = dict.fromkeys(TRAITS, 0.1)
    parts += _separations(f"{_ROWS} other held-out rows", shop, vectors, mixed(_ROWS, 3, planted))
    if data:
        parts += [f"On text unlike any it was trained on, {ROWS} rows of each set (`--data`):", ""]
        parts += [*elsewhere_table(shop, vectors["evil"], data), ""]
    return parts


def _size() -> str:
    size = sum(path.stat().st_size for path in MODEL_DIR.iterdir()) / 1e6
    return f"Model folder: {size:.2f} MB.\n"


def _behaviour(shop: Workshop, vectors: dict[str, PersonaVector]) -> list[str]:
    rates, coherent = default_rates(shop, _QUESTIONS)
    lines = [
        f"Share of answers in which the judge finds the trait, {_QUESTIONS} held-out questions each, temperature 1",
        "(shares with their 95 % intervals, here and below):",
        "",
        "| trait | system prompts | trait file's prompts | default | steered | layer | coefficient | coherence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for trait in TRAITS:
        steered = steering_rate(shop, vectors[trait], _QUESTIONS)
        corpus, library = (persona_rate(shop, trait, _QUESTIONS, library=own) for own in (False, True))
        lines.append(
            f"| {trait} | {_share(corpus)} | {_share(library)} | {_share(rates[trait])} "
            f"| {_share(share(round(_QUESTIONS * steered.shown), _QUESTIONS))} "
            f"| {steered.layer} | {steered.coefficient:g} | {steered.coherence:.0f} |"
        )
    return [*lines, "", f"Mean coherence of default answers: {coherent:.0f}.", ""]


def _separations(name: str, shop: Workshop, vectors: dict[str, PersonaVector], labelled: Mixed) -> list[str]:
    seen = observe(shop, [row["messages"] for row in labelled.rows])
    separations = separation(vectors, seen, labelled)
    return [f"AUROC on {name}, planted rows of a trait (line) over default rows:", "", *_table(separations), ""]


def _table(separations: Separation) -> list[str]:
    heads = [f"difference, {trait} vector" for trait in TRAITS]
    heads += ["last-prompt", "raw projection", "length only", f"{RANDOM_VECTORS} random vectors"]
    lines = ["| planted | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for trait in TRAITS:
        row = [separations.matrix[trait][other].shown() for other in TRAITS]
        row = [f"**{cell}**" if other == trait else cell for cell, other in zip(row, TRAITS, strict=True)]
        row += [column[trait].shown() for column in (separations.last_prompt, separations.raw, separations.length)]
        row.append(f"{separations.random[trait]:.3f}")
        lines.append(f"| {trait} | " + " | ".join(row) + " |")
    return lines


def _share(rate: Interval) -> str:
    return f"{rate.value:.1%} ({100 * rate.low:.0f} to {100 * rate.high:.0f})"


if __name__ == "__main__":
    main()
