"""What DuckDB said of a statement, in a sentence and a next step. Its own words stay behind, as the error's cause."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from screen.errors import UsageError

_KIND = re.compile(r"^[A-Z][A-Za-z ]* Error: ")
_COLUMN = re.compile(r'(?:Referenced column|does not have a column named) "((?:[^"]|"")*)"')
_VIEW = re.compile(r'(?:Table with name |Referenced table ")(\S+?)"? (?:does not exist|not found)')
_FUNCTION = re.compile(r"Function with name (\S+) does not exist")
_MEANT = re.compile(r'Did you mean "([^"]+)"')


class LibrarySaid(Exception):
    """The words of a library, as they came."""


def told(raw: str, names: Mapping[str, Sequence[str]], one: str) -> UsageError:
    """raw: DuckDB's message; names: view -> columns, of the views that may be meant; one: what is asked for."""
    first = _KIND.sub("", raw.split("\n", 1)[0]).strip()
    if match := _COLUMN.search(raw):
        column = match[1].replace('""', '"')
        near = _near(column, dict.fromkeys(name for view in names.values() for name in view))
        lists = f"`describe {next(iter(names), 'scores')}` lists its columns"
        return UsageError(f"there is no column {column!a}", f"{near}{lists}")
    if match := _VIEW.search(raw):
        return UsageError(f"there is no view {match[1]!a}", f"{_near(match[1], names)}the views are {', '.join(names)}")
    if match := _FUNCTION.search(raw):
        meant = _MEANT.search(raw)
        hint = f"did you mean {meant[1]}? " if meant else ""
        return UsageError(f"there is no function {match[1]!a}", f"{hint}functions are those of DuckDB's SQL")
    if raw.startswith("Permission Error"):
        return UsageError(first, "ask the run's own views: a query has no files and no network")
    if raw.startswith("Parser Error"):
        return UsageError(f"the statement is not understood: {first}", one)
    return UsageError(first, "change the statement; `describe scores` lists columns and their types")


def _near(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.lower(), known, 1)
    return f"did you mean {close[0]}? " if close else ""
