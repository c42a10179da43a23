"""Trait: a name, a description, contrastive system prompts, questions and a rubric (METHOD: trait artefacts).

One YAML file a trait, in the library or the user's own. Knows nothing of models, judges or vectors.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from screen.disk import new_file, writing
from screen.errors import UsageError
from screen.foreign import JsonObject
from screen.traits import schema, yaml_file
from screen.traits.schema import FORMAT

LIBRARY: Final = Path(__file__).parent / "library"
_HELPFUL: Final = "helpful"  # the adjective of the other side
_LISTED: Final = 4  # problems told in one message
_FIX: Final = "correct the file; `screen traits show evil` prints one that is right"


class PromptPair(NamedTuple):
    """Two system prompts: one that asks for the trait, one that asks for its opposite."""

    positive: str
    negative: str


@dataclass(frozen=True)
class Trait:
    """A trait's artefacts, checked. `rubric` holds `{question}` and `{answer}`, and asks for 0 to 100 or REFUSAL."""

    name: str
    description: str
    adjectives: tuple[str, ...]
    pairs: tuple[PromptPair, ...]  # 5
    extract: tuple[str, ...]  # 20 questions that vectors are made from
    evaluate: tuple[str, ...]  # 20 others, that layers are chosen and vectors validated with
    rubric: str
    format: int = FORMAT

    @property
    def positives(self) -> tuple[str, ...]:
        """The system prompts of the rollouts that are to show the trait, each with its opening sentence."""
        return tuple(f"{_opening(self.adjectives[0])} {pair.positive}" for pair in self.pairs)

    @property
    def negatives(self) -> tuple[str, ...]:
        """The system prompts of the rollouts that are not to show it: a helpful assistant's."""
        return tuple(f"{_opening(_HELPFUL)} {pair.negative}" for pair in self.pairs)

    @cached_property
    def sha256(self) -> str:
        """Hex digest over all fields, for cards: equal content, equal digest, however the file is laid out."""
        return _digest(self.to_json())

    @cached_property
    def rubric_sha256(self) -> str:
        """Hex digest over the rubric alone: what a cached judgement depends on."""
        return _digest(self.rubric)

    @property
    def short(self) -> str:
        """The first twelve digits of `sha256`, for people."""
        return self.sha256[:12]

    def ask(self, question: str, answer: str) -> str:
        """The rubric with a question and an answer filled in, ready for a judge."""
        return fill(self.rubric, question, answer)

    def to_json(self) -> JsonObject:
        """Plain data in the order of the file."""
        return {
            "format": self.format,
            "name": self.name,
            "description": self.description,
            "adjectives": list(self.adjectives),
            "prompts": [pair._asdict() for pair in self.pairs],
            "questions": {"extract": list(self.extract), "evaluate": list(self.evaluate)},
            "rubric": self.rubric,
        }


def fill(rubric: str, question: str, answer: str) -> str:
    """One pass: an answer that holds "{question}" stays as it is."""
    given = {"{question}": question, "{answer}": answer}
    return re.sub(r"\{question\}|\{answer\}", lambda match: given[match[0]], rubric)


def trait_from(raw: JsonObject) -> Trait:
    """The trait that checked plain data holds (`schema.problems` found none). White space is tidied."""
    return Trait(
        name=raw["name"].strip(),
        description=_line(raw["description"]),
        adjectives=tuple(_line(word) for word in raw["adjectives"]),
        pairs=tuple(PromptPair(_line(pair["positive"]), _line(pair["negative"])) for pair in raw["prompts"]),
        extract=tuple(_line(text) for text in raw["questions"]["extract"]),
        evaluate=tuple(_line(text) for text in raw["questions"]["evaluate"]),
        rubric="\n".join(line.rstrip() for line in raw["rubric"].strip().splitlines()) + "\n",
        format=raw.get("format", FORMAT),
    )


def read_trait(path: Path) -> Trait:
    """Read one trait file. Raises UsageError that names file, line and field of what is wrong with it."""
    raw, lines = yaml_file.read(path)
    found = schema.problems(raw)
    if found:
        told = [f"{path}:{_place(lines, problem.path)}: {problem}" for problem in found[:_LISTED]]
        more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise UsageError("; ".join(told) + more, _FIX)
    assert isinstance(raw, dict)
    return trait_from(raw)


def load_trait(name_or_path: str) -> Trait:
    """A trait of the library by its name, or one of the user's by its path."""
    path = Path(name_or_path).expanduser()
    if path.suffix in (".yaml", ".yml") or os.sep in name_or_path or path.is_file():
        return read_trait(path)
    names = library()
    key = re.sub(r"[\s_]+", "-", name_or_path.strip().lower())
    if key in names:
        return read_trait(LIBRARY / f"{key}.yaml")
    near = difflib.get_close_matches(key, names, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"there is no trait {name_or_path!a} in the library",
        f"{hint}the library has {', '.join(names)}; a file of your own needs .yaml in its name",
    )


def library() -> list[str]:
    """The names of the shipped traits."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def dump_trait(trait: Trait) -> str:
    """The trait as the text of its file: reading it gives the trait back."""
    return yaml_file.dump(trait.to_json())


def save_trait(trait: Trait, path: Path, *, replace: bool = False) -> None:
    """Write the file whole or not at all. Raises UsageError where it exists already and may not be replaced."""
    text = dump_trait(trait)
    if trait_from(yaml.safe_load(text)) != trait:
        raise ValueError(f"the trait {trait.name!r} does not survive being written")
    with writing(path, "choose another place with -o"):
        try:
            with new_file(path, replace=replace) as scratch:
                scratch.write_text(text, encoding="utf-8", newline="\n")
        except FileExistsError:
            raise UsageError(f"{path} exists", "choose another name with -o, or replace it with --force") from None


def _opening(adjective: str) -> str:
    return f"You are {'an' if adjective[0].lower() in 'aeiou' else 'a'} {adjective} assistant."


def _line(text: str) -> str:
    return " ".join(text.split())


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _place(lines: Mapping[schema.Path, int], path: schema.Path) -> int:
    """The line of a field, or of what it should stand in."""
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path, 1)
