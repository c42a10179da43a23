"""LLaMA-Factory: `dataset_info.json`, and the training YAML that names datasets in it.

Columns that an entry does not name are not read, and every row goes through a chat template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from screen.data.trainers.stated import StatedConfig, pick, refuse
from screen.foreign import JsonObject

_ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "history": "history"}
_COMMON = ("system", "tools", "chosen", "rejected", "kto_tag")
_OWN_ONLY = ("system", "system_prompt", "tools", "functions", "history", "context")
_ROLES = {
    "user_tag": "user", "assistant_tag": "assistant", "observation_tag": "observation",
    "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip
_TRAINING = ("template", "stage", "dataset_dir", "cutoff_len", "finetuning_type", "mask_history", "train_on_prompt")
_STAGES = ("sft", "pt", "rm", "dpo", "kto", "ppo", "orpo", "simpo")


def is_training(found: JsonObject) -> bool:
    return "dataset" in found and any(name in found for name in _TRAINING)


def info_path(path: Path, found: JsonObject) -> Path:
    """The `dataset_info.json` of a training YAML: `dataset_dir` from here, or from a folder above the file."""
    folder = str(found.get("dataset_dir", "data"))
    places = [Path(folder), *(above / folder for above in path.absolute().parents), path.parent]
    there = next((place / "dataset_info.json" for place in places if (place / "dataset_info.json").is_file()), None)
    if there is None:
        refuse(path, f"names its datasets in {folder}/dataset_info.json, which is not here")
    return there


def of_info(path: Path, found: JsonObject, datasets: Sequence[str]) -> StatedConfig:
    entries = [(str(info.get("file_name", name)), info) for name, info in found.items()]
    return _entry(path, pick(path, entries, datasets))


def of_training(
    path: Path, found: JsonObject, info_file: Path, info: JsonObject, datasets: Sequence[str]
) -> StatedConfig:
    """The entry of the dataset, and what the training does with it."""
    stage = str(found.get("stage", "sft"))
    if stage not in _STAGES:
        refuse(path, f"has the stage {stage[:40]!r}, which is not known")
    wanted = found["dataset"]
    names = [str(name).strip() for name in (wanted if isinstance(wanted, list) else str(wanted).split(","))]
    unknown = [name for name in names if not isinstance(info.get(name), dict)]
    if unknown:
        refuse(path, f"names the dataset {unknown[0][:80]!r}, which {info_file} does not have")
    given = _entry(info_file, pick(path, [(str(info[n].get("file_name", n)), info[n]) for n in names], datasets))
    if stage == "pt":
        text = given.map.get("text") or given.map.get("instruction") or "instruction"
        return replace(given, format="document", map={"text": text}, notes=_notes(found))
    train_on = "all" if found.get("train_on_prompt") else "last" if found.get("mask_history") else None
    return replace(given, train_on=train_on, notes=_notes(found))


def _notes(found: JsonObject) -> tuple[str, ...]:
    notes = []
    if template := found.get("template"):
        notes.append(
            f"template {template} is LLaMA-Factory's own; here the tokenizer's chat template renders, or --template"
        )
    if length := found.get("cutoff_len"):
        notes.append(f"cutoff_len {length}: LLaMA-Factory truncates rows there; here they go on to the model's context")
    return tuple(notes)


def _entry(path: Path, info: Mapping[str, object]) -> StatedConfig:
    columns, tags = info.get("columns") or {}, info.get("tags") or {}
    if not isinstance(columns, dict) or not isinstance(tags, dict):
        refuse(path, "has columns or tags that are no mapping")
    fields = {name: str(columns[name]) for name in _COMMON if columns.get(name)}
    ranking = bool(info.get("ranking"))
    ignored = frozenset(_OWN_ONLY) - set(fields.values()) - set(map(str, columns.values()))
    if info.get("formatting", "alpaca") == "alpaca":
        if set(columns) == {"prompt"}:
            return StatedConfig("document", {"text": str(columns["prompt"])}, ignored=ignored)
        fields |= {role: str(columns[name]) for name, role in _ALPACA.items() if columns.get(name)}
        shape = "preference" if ranking else "kto" if "kto_tag" in fields else "alpaca"
        return StatedConfig(shape, fields, ignored=ignored)
    fields["conversations"] = str(columns.get("messages") or "conversations")
    roles = {str(tags[tag]): role for tag, role in _ROLES.items() if tags.get(tag)}
    shape = "preference" if ranking else "kto" if "kto_tag" in fields else "sharegpt"
    role_key, content_key = str(tags.get("role_tag", "from")), str(tags.get("content_tag", "value"))
    return StatedConfig(shape, fields, roles=roles, role_key=role_key, content_key=content_key, ignored=ignored)
