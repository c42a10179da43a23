"""A file's name and first bytes -> what kind of file it is."""

from __future__ import annotations

import json
import re
from typing import Literal, NoReturn, get_args

import orjson

from screen.errors import InputError

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "txt"]

HEAD = 1 << 20
PACKED = (".gz", ".zst", ".zstd")  # endings of compressed files
SUPPORTED = ".jsonl .ndjson .json .csv .tsv .txt .parquet .arrow, each also .gz or .zst"
ROW_KEYS = ("data", "rows", "train", "examples", "instances", "samples", "items", "dataset", "test", "validation")

_SUFFIX: dict[str, Kind] = {k: k for k in get_args(Kind)}
_SUFFIX |= {"ndjson": "jsonl", "jsonlines": "jsonl", "feather": "arrow", "ipc": "arrow", "pq": "parquet"}
_BINARY: dict[bytes, Kind] = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_HEADER = re.compile(rb'"?[A-Za-z_][\w .-]{0,60}"?(?:([,\t])"?[A-Za-z_][\w .-]{0,60}"?)+\r?\n')


def kind_of_name(path: str) -> Kind | None:
    """By suffix, behind any `.gz` or `.zst`."""
    name = path.rsplit("/", 1)[-1].lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return _SUFFIX.get(name.rpartition(".")[2]) if "." in name else None


def kind_of(path: str, head: bytes) -> Kind:
    """By suffix, corrected by content: JSON names are used for each other. Raises InputError."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and head[:4] != b"\xff\xff\xff\xff":
        _refuse_coding(path, "UTF-16")
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            return kind
    named = kind_of_name(path)
    if named in ("jsonl", "json", None):
        _refuse_wide(path, head)
    if named in ("jsonl", "json"):
        return _which_json(head, named)
    if named in ("parquet", "arrow"):
        raise InputError(f"{path}: the file is not {named}, whatever its name says", "write it again")
    if named:
        return named
    return _guess(path, head)


def _refuse_wide(path: str, head: bytes) -> None:
    """UTF-16 and UTF-32 without a mark, which `json.loads` would see."""
    coding = json.detect_encoding(head[:4])
    text = head[: len(head) // 4 * 4][:64].decode(coding, "replace").lstrip("\ufeff \t\r\n")
    if not coding.startswith("utf-8") and text[:1] in ("[", "{"):
        _refuse_coding(path, coding.upper())


def _refuse_coding(path: str, coding: str) -> NoReturn:
    raise InputError(
        f"{path}: the file is {coding} from byte 0 on, and rows are read as UTF-8",
        f"convert it: iconv -f {coding} -t UTF-8",
    )


def _guess(path: str, head: bytes) -> Kind:
    if _text(head)[:1] in (b"{", b"["):
        return _which_json(head, "jsonl")
    if header := _HEADER.match(_text(head)):
        return "tsv" if header[1] == b"\t" else "csv"
    what = "standard input" if path == "-" else path
    raise InputError(f"{what}: cannot tell what kind of file this is", f"read are {SUPPORTED}")


def _which_json(head: bytes, named: Kind) -> Kind:
    """JSONL or one JSON document: a document's first line is no value by itself, or nothing follows it."""
    text = _text(head)
    line, _, rest = text.partition(b"\n")
    if _whole(line):
        alone = not rest.strip()
        single = line.startswith(b"[") or named == "json" or _rows_inside(line)
        return "json" if alone and single else "jsonl"
    listed = text[:1] == b"["
    if _rows_inside(text) or (listed and named == "json") or line.strip() in (b"[", b"{"):
        return "json"
    if not rest.strip():  # one line only, or one longer than what was looked at
        return "json" if named == "json" or (listed and len(head) == HEAD) else "jsonl"
    return "json" if text[:1] in (b"[", b"{") and _goes_on(text) else "jsonl"


def _whole(line: bytes) -> bool:
    """Whether the line is an object or array by itself."""
    try:
        return isinstance(orjson.loads(line), dict | list)
    except orjson.JSONDecodeError:
        return False


def _goes_on(text: bytes) -> bool:
    """Whether the text is one JSON value over several lines, as far as it is here."""
    found = text.decode(errors="replace").rstrip()
    try:
        return json.JSONDecoder().raw_decode(found)[1] == len(found)
    except json.JSONDecodeError as error:
        cut = len(found) - error.pos < 12 and len(text) >= HEAD - 3  # in the middle of a word, a number or an escape
        return cut or error.pos >= len(found) or error.msg.startswith("Unterminated string")
    except (ValueError, RecursionError):  # a number of over 4,300 digits; nesting without end
        return True


def _rows_inside(text: bytes) -> bool:
    """Whether an object's text says early that it holds rows: {"data": [..."""
    first = re.match(rb'\{\s*"(\w+)"\s*:\s*\[', text)
    return first is not None and first[1].decode() in ROW_KEYS


def _text(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()
