"""Shape 1: token ids and masks, or pairs of them, as the trainer gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

from screen.data.readers.rows import BadRow
from screen.data.records.reading import How, listed, make_sample
from screen.data.sample import Place, Sample, Variant
from screen.foreign import JsonObject

_MASKS = ("labels", "completion_mask", "assistant_masks")
_ID_PAIRS = (
    ("chosen_ids", "rejected_ids", "prompt_ids"),
    ("chosen_input_ids", "rejected_input_ids", "prompt_input_ids"),
)
_NO_LOSS = -100
_MAX_ID = 2**31


def find(value: JsonObject) -> dict[str, str] | None:
    masks = {name: name for name in _MASKS if type(listed(value.get(name))) is list}
    if masks and type(listed(value.get("input_ids"))) is list:
        return {"input_ids": "input_ids", **masks}
    for chosen, rejected, prompt in _ID_PAIRS:
        if type(listed(value.get(chosen))) is list and type(listed(value.get(rejected))) is list:
            return {"chosen": chosen, "rejected": rejected, **({"prompt": prompt} if prompt in value else {})}
    return None


def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
    """Ids and mask as the trainer gets them; padding (attention_mask 0) is left out."""
    for chosen, rejected, prompt in _ID_PAIRS:
        if value.get(chosen) is not None or value.get(rejected) is not None:
            before = _ints(value, prompt) if value.get(prompt) is not None else []
            sides: list[tuple[Variant, str]] = [("chosen", chosen), ("rejected", rejected)]
            read = {chosen, rejected, prompt, _labels_of(chosen), _labels_of(rejected)}
            return [_side(value, place, how, before, name, variant, read) for variant, name in sides]
    if value.get("input_ids") is None:
        raise BadRow("wrong_shape", "the row has no `input_ids`")
    ids = _ints(value, "input_ids")
    masks = [name for name in _MASKS if value.get(name) is not None]
    if not masks:
        raise BadRow("no_response", f"the row has `input_ids` but none of {', '.join(_MASKS)}")
    mask = [True] * len(ids)
    for name in masks:
        marks = _ints(value, name, len(ids), least=_NO_LOSS)
        without = _NO_LOSS if name == "labels" else 0
        mask = [kept and mark != without for kept, mark in zip(mask, marks, strict=True)]
    if value.get("attention_mask") is not None:
        real = _ints(value, "attention_mask", len(ids))
        ids, mask = list(compress(ids, real)), list(compress(mask, real))
    return [_tokens(value, place, how, ids, mask, None, {"input_ids", "attention_mask", *_MASKS})]


def _side(
    value: JsonObject, place: Place, how: How, before: list[int], name: str, variant: Variant, read: set[str]
) -> Sample:
    if value.get(name) is None:
        raise BadRow("wrong_shape", f"the row has no `{name}`, and a pair needs both sides")
    answer = _ints(value, name)
    labels = _labels_of(name)
    if not before and value.get(labels) is not None:
        mask = [mark != _NO_LOSS for mark in _ints(value, labels, len(answer), least=_NO_LOSS)]
    else:
        mask = [False] * len(before) + [True] * len(answer)
    return _tokens(value, place, how, before + answer, mask, variant, read)


def _labels_of(name: str) -> str:
    return name.replace("_input_ids", "_labels").replace("_ids", "_labels")


def _tokens(
    value: JsonObject,
    place: Place,
    how: How,
    ids: Sequence[int],
    mask: Sequence[bool],
    variant: Variant | None,
    read: set[str],
) -> Sample:
    if not any(mask):
        raise BadRow("not_trained", "the row's labels or masks leave no token with loss")
    plain = make_sample(value, place, how, (), "tokens", variant, read=read)
    return replace(plain, tools=(), token_ids=tuple(ids), token_mask=tuple(mask))


def _ints(value: JsonObject, name: str, length: int | None = None, least: int = 0) -> list[int]:
    found = listed(value[name])
    if type(found) is list and len(found) == 1 and type(found[0]) is list:
        found = found[0]  # a batch of one
    if type(found) is not list or not set(map(type, found)) <= {int, bool}:
        raise BadRow("bad_tokens", f"`{name}` is not a list of whole numbers")
    if found and not (least <= min(found) and max(found) < _MAX_ID):
        raise BadRow("bad_tokens", f"`{name}` has numbers outside {least} to {_MAX_ID}")
    if length is not None and len(found) != length:
        raise BadRow("bad_tokens", f"`{name}` has {len(found)} entries, but `input_ids` has {length}")
    return found
