"""Trait files as plain data with line numbers, and back. Knows YAML, and nothing of what a trait is.

Files may come from strangers: no tags, anchors or aliases, no duplicate keys, no depth, no size.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Final

import yaml

from screen.errors import UsageError

MAX_BYTES: Final = 256 << 10
_DEEPEST: Final = 6
_FIX: Final = "correct the file; `screen traits show evil` prints one that is right"
_QUOTE: Final = 'put text that holds ": " or " #", or begins with a sign, in quotes'

Path = tuple[str | int, ...]


def read(path: FilePath) -> tuple[object, dict[Path, int]]:
    """The data, and the line (from 1) on which each field begins. Raises UsageError with file and line."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the path of the file") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is larger than any trait file ({MAX_BYTES >> 10} KiB)", "check the path of the file")
    try:
        return _parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        step = _FIX if isinstance(error, yaml.constructor.ConstructorError) else _QUOTE
        raise UsageError(f"{path}:{line}: {error.problem}", step) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise UsageError(f"{path}: not valid YAML: {reason}", _FIX) from None


def dump(value: object) -> str:
    """Block style, in the order given; a text of several lines stays as it is."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _parse(text: str) -> tuple[object, dict[Path, int]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        return (None if node is None else _plain(loader, node, (), lines)), lines
    finally:
        loader.dispose()


def _plain(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> object:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*path, i), lines) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        made: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key must be a word", key.start_mark)
            if key.value in made:
                raise _refused(f"the key {key.value!a} stands here a second time", key.start_mark)
            made[key.value] = _plain(loader, value, (*path, key.value), lines)
            lines[(*path, key.value)] = key.start_mark.line + 1
        return made
    try:
        return loader.construct_object(node)
    except ValueError:  # 2024-13-45 looks like a date
        raise _refused(f"{node.value!a} cannot be read as a value; put it in quotes", node.start_mark) from None


def _refused(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """Composes plain nodes only."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases (& and *) are not allowed in a trait file", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"tags are not allowed in a trait file (found {event.tag!a})", event.start_mark)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _refused("nested deeper than any trait file", event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key; texts of several lines as literal blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text.strip("\n") else None)


_Dumper.add_representer(str, _represent_text)
