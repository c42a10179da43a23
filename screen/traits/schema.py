"""What makes plain data a trait: every problem found, each with the field it is in. Knows no files and no models.

The data may come from a file or from a language model that was asked to write it; so nothing is taken on trust,
and all problems are told at once, in words that either can act on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from screen.foreign import JsonObject

FORMAT: Final = 1
PAIRS: Final = 5
QUESTIONS: Final = 20  # on each side
PLACEHOLDERS: Final = ("{question}", "{answer}")
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,63}")  # as of a vector, which takes its name from here
_KEYS: Final = ("name", "description", "adjectives", "prompts", "questions", "rubric")
_LONGEST: Final = {"description": 2000, "prompts": 2000, "questions": 500, "rubric": 8000}
_ADJECTIVE: Final = re.compile(r"[A-Za-z][A-Za-z' -]{0,39}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_BRACED: Final = re.compile(r"\{\w+\}")
_SMALL: Final = frozenset(
    ["a", "an", "and", "as", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the", "to"]
)
# The leftmost match is the longest ending; four letters at least are left: "refusal", "refuses", "refused" -> "refus".
_ENDING: Final = re.compile(
    r"(?<=[a-z]{4})(?:at(?:ions?|ing|ed|es?|ive|ors?)|i?ness|is(?:tic|ts?|m)|etic|ical(?:ly)?|i?al(?:ly|s)?|i?ous(?:ly)?"
    r"|ions?|ings?|it(?:y|ies)|ies|ied|ily|ants?|ents?|[ae]ncy|t?y|ers?|e[ds]|i?c|ly|ful|s|e)$"
)

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """`path`: the keys and list positions (from 0) that lead to the field."""

    path: Path
    message: str

    @property
    def field(self) -> str:
        """ "questions.extract #5": list positions are counted from 1, as people count."""
        made = ""
        for step in self.path:
            made += f" #{step + 1}" if isinstance(step, int) else f".{step}" if made else step
        return made

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.path else self.message


def problems(raw: object) -> list[Problem]:
    """Everything that keeps `raw` from being a trait, in the order of the fields; nothing where it is one."""
    if not isinstance(raw, Mapping):
        return [Problem((), f"must hold the keys {', '.join(_KEYS)}; found {_kind(raw)}")]
    found = [*_keys((), raw, (*_KEYS, "format"), _KEYS)]
    if raw.get("format", FORMAT) != FORMAT or isinstance(raw.get("format"), bool):
        found.append(Problem(("format",), f"must be {FORMAT}, the only format there is; found {raw['format']!r}"))
    for key, check in (
        ("name", _name),
        ("description", _text),
        ("adjectives", _adjectives),
        ("prompts", _prompts),
        ("questions", _questions),
        ("rubric", _rubric),
    ):
        if key in raw:
            found += check((key,), raw[key])
    return found or list(_naming(raw))


def stems(text: str) -> list[str]:
    """The words of a text without their endings, small words left out."""
    words = re.findall(r"[a-z]+", text.lower().replace("'", ""))
    return [_ENDING.sub("", word) for word in words if word not in _SMALL]


def _same(a: str, b: str) -> bool:
    """Two stems of one word: "malic" of "malice" and "malici" of "malicious"."""
    return a == b or (min(len(a), len(b)) >= 5 and (a.startswith(b) or b.startswith(a)))


def _keys(
    path: Path, raw: Mapping[object, object], known: tuple[str, ...], needed: tuple[str, ...]
) -> Iterator[Problem]:
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            yield Problem((*path, str(key)), f"unknown key; {hint}")
    for key in needed:
        if key not in raw:
            yield Problem((*path, key), "is missing")


def _kind(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "keys"}
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")


def _text(path: Path, value: object) -> Iterator[Problem]:
    longest = _LONGEST.get(str(path[0]), 200)
    if not isinstance(value, str):
        yield Problem(path, f"must be text, found {_kind(value)}; put it in quotes")
    elif not value.strip():
        yield Problem(path, "is empty")
    elif len(value) > longest:
        yield Problem(path, f"is {len(value):,} characters long; at most {longest:,}")
    elif bad := _CONTROL.search(value):
        yield Problem(path, f"holds the control character {bad[0]!a}; take it out")


def _name(path: Path, value: object) -> Iterator[Problem]:
    bad = list(_text(path, value))
    if not bad and not NAME.fullmatch(str(value)):
        bad = [Problem(path, "must begin with a letter and hold letters, digits, spaces, - and _ only, at most 64")]
    yield from bad


def _adjectives(path: Path, value: object) -> Iterator[Problem]:
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        yield Problem(path, 'must be a list of 1 to 8 words for "You are a ... assistant."')
        return
    for i, word in enumerate(value):
        if not isinstance(word, str) or not _ADJECTIVE.fullmatch(word):
            yield Problem((*path, i), 'must be a word or two that fit "You are a ... assistant."')
    yield from _repeats({(*path, i): word for i, word in enumerate(value) if isinstance(word, str)})


def _prompts(path: Path, value: object) -> Iterator[Problem]:
    if not isinstance(value, list) or len(value) != PAIRS:
        found = f"{len(value)}" if isinstance(value, list) else _kind(value)
        yield Problem(path, f"must be a list of {PAIRS} pairs of positive and negative; found {found}")
        return
    texts: dict[Path, str] = {}
    for i, pair in enumerate(value):
        if not isinstance(pair, Mapping):
            yield Problem((*path, i), f"must hold the keys positive and negative; found {_kind(pair)}")
            continue
        yield from _keys((*path, i), pair, ("positive", "negative"), ("positive", "negative"))
        for side in ("positive", "negative"):
            if side in pair:
                yield from _text((*path, i, side), pair[side])
                if isinstance(pair[side], str):
                    texts[(*path, i, side)] = pair[side]
    yield from _repeats(texts)


def _questions(path: Path, value: object) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(path, f"must hold the keys extract and evaluate; found {_kind(value)}")
        return
    yield from _keys(path, value, ("extract", "evaluate"), ("extract", "evaluate"))
    texts: dict[Path, str] = {}
    for side in ("extract", "evaluate"):
        asked = value.get(side, [])
        if not isinstance(asked, list):
            yield Problem((*path, side), f"must be a list of {QUESTIONS} questions; found {_kind(asked)}")
            continue
        if side in value and len(asked) != QUESTIONS:
            yield Problem((*path, side), f"must be a list of {QUESTIONS} questions; found {len(asked)}")
        for i, question in enumerate(asked):
            yield from _text((*path, side, i), question)
            if isinstance(question, str):
                texts[(*path, side, i)] = question
    yield from _repeats(texts)


def _rubric(path: Path, value: object) -> Iterator[Problem]:
    bad = list(_text(path, value))
    if bad:
        yield from bad
        return
    text = str(value)
    for placeholder in PLACEHOLDERS:
        if placeholder not in text:
            yield Problem(path, f"lacks {placeholder}, where the judge is to read it")
    for other in sorted(set(_BRACED.findall(text)) - set(PLACEHOLDERS)):
        yield Problem(path, f"has the placeholder {other}; there are {' and '.join(PLACEHOLDERS)} only")
    if not (re.search(r"\b0\b", text) and re.search(r"\b100\b", text)):
        yield Problem(path, "must ask for a number from 0 to 100 and say what both ends mean")
    if "REFUSAL" not in text:
        yield Problem(path, "must say when to write REFUSAL instead of a number")


def _repeats(texts: Mapping[Path, str]) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, text in texts.items():
        key = " ".join(re.findall(r"\w+", text.casefold()))
        if key and key in first:
            yield Problem(path, f"says the same as {Problem(first[key], '').field}")
        elif key:
            first[key] = path


def _naming(raw: JsonObject) -> Iterator[Problem]:
    """Questions must elicit the trait, not name it: none holds all the words of its name or of an adjective."""
    names = {name: set(stems(name)) for name in [raw["name"], *raw["adjectives"]]}
    for side in ("extract", "evaluate"):
        for i, question in enumerate(raw["questions"][side]):
            words = set(stems(question))
            for name, parts in names.items():
                if parts and all(any(_same(p, w) for w in words) for p in parts):
                    yield Problem(
                        ("questions", side, i), f"names the trait ({name!r}); a question must elicit it, not name it"
                    )
                    break
