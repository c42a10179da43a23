"""axolotl's YAML: an entry of `datasets`, its `type`, and what is trained on.

`alpaca` types use no chat template: an instruction is written into a prompt; prompt and answer are tokenised apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from screen.data.records.wording import ALPACA, ALPACA_BARE, ALPACA_CHAT, Wording
from screen.data.trainers.stated import StatedConfig, pick, refuse
from screen.foreign import JsonObject

_FIELDS = {"field_instruction": "instruction", "field_input": "input", "field_output": "output"}
_ALPACAS = {
    **dict.fromkeys(("alpaca", "alpaca:instruct", "alpaca_instruct", "alpaca_instruct.load"), ALPACA),
    **dict.fromkeys(("alpaca:chat", "alpaca_chat", "alpaca_chat.load"), ALPACA_CHAT),
    "alpaca_instruct.load_no_prompt": ALPACA_BARE,
}


def is_axolotl(found: JsonObject) -> bool:
    entries = found.get("datasets")
    return "datasets" in found and not (
        isinstance(entries, list) and entries and all(isinstance(e, dict) and "type" not in e for e in entries)
    )


def given(path: Path, settings: JsonObject, datasets: Sequence[str]) -> StatedConfig:
    found = settings["datasets"]
    if not isinstance(found, list) or not all(isinstance(info, dict) for info in found):
        refuse(path, "has `datasets` that are no list")
    info = pick(path, [(str(info.get("path", "")), info) for info in found], datasets)
    train_on = "all" if settings.get("train_on_inputs") or info.get("train_on_inputs") else None
    sort = info.get("type", "")
    notes = _notes(settings, info)
    if settings.get("rl"):
        system = {"system": str(info["field_system"])} if info.get("field_system") else {}
        return StatedConfig("kto" if settings["rl"] == "kto" else "preference", system, notes=notes)
    if isinstance(sort, dict):
        fields, wording = _own(path, sort)
        return StatedConfig(
            "alpaca", fields, train_on, render="plain" if wording else None, wording=wording, notes=notes
        )
    if sort in _ALPACAS:
        return StatedConfig(
            "alpaca", {}, train_on, render="plain", wording=_ALPACAS[sort], ignored=_UNREAD, notes=notes
        )
    if sort in ("completion", "pretrain"):
        return StatedConfig("document", {"text": str(info.get("field") or "text")}, notes=notes)
    if sort == "input_output":
        return StatedConfig("segments", train_on=train_on, notes=notes)
    if sort not in ("chat_template", "sharegpt"):
        refuse(path, f"has the dataset type {str(sort)[:40]!r}, which is not read")
    return _chat(path, info, train_on, notes)


_UNREAD = frozenset(("context", "history", "system", "system_prompt"))


def _own(path: Path, sort: Mapping[str, object]) -> tuple[dict[str, str], Wording | None]:
    """Fields and wording of a type that the user wrote: `format` is the prompt."""
    fields = {role: str(sort[name]) for name, role in _FIELDS.items() if sort.get(name)}
    system = str(sort["field_system"]) if sort.get("field_system") else None
    form = sort.get("format")
    if form is None:
        return fields | ({"system": system} if system else {}), None
    if not all(isinstance(sort.get(key) or "", str) for key in ("format", "no_input_format", "system_format")):
        refuse(path, "has a format that is no text")
    bare = str(sort.get("no_input_format") or form)
    default = "" if system else str(sort.get("system_prompt") or "")
    return fields, Wording(str(form), bare, str(sort.get("system_format") or ""), default, system)


def _notes(settings: Mapping[str, object], info: Mapping[str, object]) -> tuple[str, ...]:
    notes = []
    template = info.get("chat_template") or settings.get("chat_template")
    if template and info.get("type") == "chat_template" and not str(template).startswith("tokenizer_default"):
        notes.append(f"chat_template {template} is axolotl's own; here the tokenizer's renders, or --template")
    if length := settings.get("sequence_len"):
        notes.append(
            f"sequence_len {length}: axolotl drops or truncates rows there; here they go on to the model's context"
        )
    return tuple(notes)


def _chat(path: Path, info: JsonObject, train_on: str | None, notes: tuple[str, ...]) -> StatedConfig:
    keys = info.get("message_property_mappings") or {}
    named = info.get("roles") or {}
    if not isinstance(keys, dict) or not isinstance(named, dict):
        refuse(path, "has roles or message_property_mappings that are no mapping")
    roles = {str(said): str(role) for role, all_said in named.items() for said in all_said}
    trained = info.get("roles_to_train", ["assistant"])
    if trained is None:
        train_on = "last"
    elif set(trained) not in ({"assistant"}, {"gpt"}, {"gpt", "assistant"}):
        refuse(path, f"trains on the roles {trained}, and only the assistant's turns can be chosen by role")
    field_ = str(info.get("field_messages") or ("conversations" if info.get("type") == "sharegpt" else "messages"))
    role_key = str(keys.get("role") or info.get("message_field_role") or "role")
    content_key = str(keys.get("content") or info.get("message_field_content") or "content")
    shape = "sharegpt" if field_ == "conversations" else "chat"
    fields = {"conversations" if shape == "sharegpt" else "messages": field_}
    for name, role in (("field_system", "system"), ("field_tools", "tools")):
        if info.get(name):
            fields[role] = str(info[name])
    return StatedConfig(shape, fields, train_on, None, roles, role_key, content_key, notes=notes)
