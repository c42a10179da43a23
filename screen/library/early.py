"""What can be told of a run's flags before a model library is loaded, so that a slip costs a second and not an hour.

Everything here is checked again where it is used: a run that is started from Python goes without this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from screen.baselines import table
from screen.baselines.kind import Baseline
from screen.data.from_spec import READING, dataset_of
from screen.errors import InputError, ResumeRefused, StoreError, UsageError
from screen.scan.inputs import vectors_of
from screen.spec import ScanSpec
from screen.vectors.persona import VectorSet


def check(chosen: Mapping[str, Any], out: Path | None, at: str | None, cache: Path | None) -> VectorSet:
    """Raises the error of the first setting of `chosen` that cannot be acted on; returns the vectors.

    chosen  the fields of a ScanSpec, those that were given
    out     the run's folder; None where the command has no say in it
    """
    model = chosen.get("model", "pocket")
    check_model(model, chosen.get("template"))
    _check_files(chosen)
    for folder in (out, cache):
        if folder is not None:
            check_writable(folder)
    vectors = vectors_of(model, tuple(chosen.get("vectors", ())), chosen.get("traits", ()), chosen.get("layers", {}))
    dataset = _dataset(chosen)
    kind = _baseline(chosen, dataset)
    if chosen.get("refine"):
        table.check_refine(kind)
    if dataset is not None or chosen.get("baseline") not in (None, table.AUTO):
        _check_percentile(chosen, vectors, kind, at)
    if out is not None and out.is_dir():
        _check_same_run(chosen, out, vectors, dataset)
    return vectors


def check_model(model: str, template: str | None) -> None:
    """Raises ModelError for a path that is no model folder, UsageError for a template that is not there."""
    from screen.model.place import local_folder

    if model != "pocket":
        local_folder(model)
    if template not in (None, "plain") and not os.path.isfile(template):
        raise UsageError(f"--template {template}: there is no such file", "check its path")


def check_writable(folder: Path) -> None:
    """Raises UsageError for a folder that is a file, or can be neither made nor written to."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise StoreError(f"{place} is a file, not a folder", "name another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(f"{folder} cannot be written: no permission to write to {place}", "name another place")


def _check_files(chosen: Mapping[str, Any]) -> None:
    if (config := chosen.get("config")) is not None and not os.path.isfile(config):
        raise UsageError(f"--config {config}: there is no such file", "check its path")
    if chosen.get("answers"):
        from screen.baselines.answers_file import GivenAnswers

        GivenAnswers(Path(chosen["answers"]))
    if chosen.get("answer_by") == "endpoint":
        from screen.endpoint.client import Endpoint

        Endpoint.from_env()


def _dataset(chosen: Mapping[str, Any]) -> Any:
    """The dataset, where it can be read twice: its shape, --map, --config, --limit and --group-by are told here."""
    if "-" in chosen["dataset"]:
        return None
    from screen.data.grouping import check_group

    known = {name: chosen[name] for name in READING if chosen.get(name) is not None}
    dataset = dataset_of(ScanSpec.from_json(known))
    if chosen.get("limit") and next(dataset.windows(1), None) is None:
        raise InputError(f"--limit leaves no row of {dataset.files[0].path}", "give rows that are there")
    if chosen.get("group_by"):
        check_group(dataset, chosen["group_by"])
    return dataset


def _baseline(chosen: Mapping[str, Any], dataset: Any) -> Baseline:
    """The kind, as far as it can be told; what `auto` comes to has one reference, whichever it is."""
    asked = chosen.get("baseline") or table.AUTO
    if dataset is not None and dataset.shape.preference:
        return table.for_pairs()
    return table.by_prompts(0) if asked == table.AUTO else table.kind_of(asked)


def _check_percentile(chosen: Mapping[str, Any], vectors: VectorSet, kind: Baseline, at: str | None) -> None:
    """Whether every reference has the percentile that flags are to go by."""
    from screen.scoring.findings.flags import DEFAULT_AT, reference_of, threshold

    none = np.zeros(0, dtype=np.float32)
    given = None
    if chosen.get("reference"):
        from screen.store.reference import Reference

        given = Reference.load(Path(chosen["reference"]))
    for vector, layer in zip(vectors.vectors, vectors.layers, strict=True):
        card = reference_of(vector.card, layer, kind.reference)
        if given is not None and vector.trait in given.scores:
            card = given.as_card(vector.trait)
        threshold(none, card, at or DEFAULT_AT)


def _check_same_run(chosen: Mapping[str, Any], out: Path, vectors: VectorSet, dataset: Any) -> None:
    """A folder that holds something else, told by what is known without the model: vectors, rows and settings."""
    from screen.store import identity as identities
    from screen.store import scanfile

    scanfile.check_target(out)
    if (scan := scanfile.load(out)) is None:
        return
    was = scan["identity"]
    now: dict[str, Any] = {"traits": list(vectors.traits), "vectors": vectors.identity()}
    if dataset is not None:
        sizes = [{"bytes": file.bytes} for file in dataset.files]
        now["dataset"] = {"shape": dataset.shape.name, "files": sizes}
    now["settings"] = {n: chosen[n] for n in ("limit", "group_by", "train_on", "shard_rows", "refine") if n in chosen}
    fields = list(identities.differences(_part(was, now), identities.normal(now)))
    if fields:
        raise ResumeRefused(
            f"{out} holds a run of something else; nothing was changed:\n" + "\n".join(f"  {f}" for f in fields),
            "undo the change to resume that run, or give another --out",
        )


def _part(was: Any, now: Any) -> Any:
    """What `was` says where `now` says anything; of a list all items, each cut to the fields of the others."""
    if isinstance(was, dict) and isinstance(now, dict):
        return {name: _part(was[name], value) for name, value in now.items() if name in was}
    if isinstance(was, list) and isinstance(now, list) and now and isinstance(now[0], dict):
        return [_part(item, now[0]) for item in was]
    return was
