"""A reference set: the scores of data trusted to be clean, in one file, with what it holds for.

Made from a finished run by `screen reference build`; a run takes it with `--reference` and then gives every row a
percentile, a z-score and an empirical p-value, and flags by a percentile or at a false-discovery rate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from screen import seal
from screen.baselines.estimates.estimator import KeptFacts
from screen.baselines.kind import Baseline
from screen.baselines.table import kind_of
from screen.disk import DISK, storing, write_atomically
from screen.errors import InputError, StoreError
from screen.foreign import JsonObject
from screen.scoring.findings.flags import TraitControls, TraitReference
from screen.stats import summary
from screen.store import context
from screen.store.controls import control_scores
from screen.store.folder import RunFolder
from screen.store.identity import InstrumentsIdentity
from screen.store.unfinished import unfinished
from screen.vectors.controls import distribution
from screen.vectors.controls import key as digest

MOST = 20_000  # scores kept a trait
LEAST = 100
QUANTILES = {"p001": 0.001, **{f"p{q:02d}": q / 100 for q in range(1, 100)}, "p999": 0.999}
_CONTROLS = "controls."  # before the names of arrays that are no trait's: a trait has no dot in its name
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """scores    trait -> (n,) float32 ascending; card  what it was made from and holds for
    controls  key -> (m, d_model) float32 control directions; how these rows score along them is on the card
    """

    name: str
    scores: Mapping[str, Float32]
    card: JsonObject
    sha256: str = ""
    controls: Mapping[str, Float32] = field(default_factory=dict)

    @classmethod
    def from_run(cls, folder: RunFolder) -> Reference:
        """The scores of a finished run; of more than MOST rows an evenly spaced choice in row order.

        Raises InputError for a run that is not finished or has fewer than LEAST scores of a trait.
        """
        if not folder.finished:
            raise InputError(*unfinished(folder))
        kind = folder.facts["baseline"]
        scores: dict[str, Float32] = {}
        directions: dict[str, Float32] = {}
        along: dict[str, TraitControls] = {}
        arrays, facts = context.load(folder.path, folder.run) or ({}, KeptFacts())
        for trait in folder.traits:
            column = folder.score_column(trait)
            parts = [pq.read_table(f, columns=[column])[column] for f in folder.tables("scores")]
            chunks = [c for part in parts for c in part.chunks]
            every = pa.chunked_array(chunks, pa.float32()).to_numpy()
            values = every[~np.isnan(every)]
            if len(values) < LEAST:
                raise InputError(
                    f"{folder.path}: {len(values)} rows have a score for {trait}; a reference needs {LEAST} at least",
                    "give more clean rows",
                )
            if len(values) > MOST:
                values = values[np.linspace(0, len(values) - 1, MOST).round().astype(np.int64)]
            scores[trait] = np.sort(values)
            if trait in facts.get("set_of", {}):
                key = facts["set_of"][trait]
                random = control_scores(folder, key, len(every))[~np.isnan(every)]
                random = random[~np.isnan(random).any(axis=1)]
                directions[key] = arrays[f"random.{key}"].astype(np.float32, copy=False)
                along[trait] = {"key": key, "source": "reference", **distribution(random, QUANTILES)}
        card = {
            "baseline": kind,
            "model": folder.identity["model"],
            "rendering": folder.identity["rendering"],
            "vectors": folder.identity["vectors"],
            "dataset": folder.facts.get("dataset", {}).get("files", []),
            "rows": {trait: len(values) for trait, values in scores.items()},
            "controls": along,
            "summary": {t: {"mean": float(v.mean()), "sd": float(v.std())} for t, v in scores.items()},
        }
        return cls(folder.path.name, scores, card, controls=directions)

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        from safetensors.numpy import save as encode

        arrays = {**self.scores, **{f"{_CONTROLS}{key}": rows for key, rows in self.controls.items()}}
        meta = {"reference": json.dumps({**self.card, seal.SEAL: seal.BLANK})}
        with storing(path.parent, flag="-o"):
            write_atomically(path, seal.sealed_tensors(encode(dict(sorted(arrays.items())), meta)), DISK)

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Raises StoreError for a file that is not a reference."""
        from safetensors import SafetensorError
        from safetensors.numpy import load as decode

        nxt = "build one with `screen reference build clean.jsonl -o clean.reference`"
        try:
            data = path.read_bytes()
            seal.check_tensors(data)
            arrays = {name: values.copy() for name, values in sorted(decode(data).items())}
            card = json.loads(seal.metadata(data)["reference"])
            del card[seal.SEAL]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            why = str(error).splitlines()[0][:100]
            raise StoreError(f"{path} is not a reference, or is damaged ({why})", nxt) from None
        scores = {name: v for name, v in arrays.items() if not name.startswith(_CONTROLS)}
        controls = {name.removeprefix(_CONTROLS): v for name, v in arrays.items() if name.startswith(_CONTROLS)}
        good = all(v.dtype == np.float32 and v.ndim == 1 and np.isfinite(v).all() for v in scores.values())
        if not scores or not good or not _of_its_kind(card, scores, controls):
            raise StoreError(f"{path} is not a reference: its arrays or its card are not of that kind", nxt)
        for name, rows in controls.items():
            if rows.dtype != np.float32 or rows.ndim != 2 or digest(rows) != name:
                raise StoreError(f"{path} is damaged: the control directions {name} are not those written", nxt)
        ordered = {t: np.sort(v) for t, v in scores.items()}
        return cls(path.name, ordered, card, hashlib.sha256(data).hexdigest(), controls)

    def check(self, identity: InstrumentsIdentity, baseline: Baseline) -> None:
        """Whether a run's scores are of the same kind. Raises InputError that names what differs."""
        ours = {"config", "weights", "tokenizer"}
        pairs = {f"the model's {n}": (self.card["model"].get(n), identity["model"].get(n)) for n in sorted(ours)}
        pairs["the chat template or rendering"] = (self.card["rendering"], identity["rendering"])
        for trait, vector in identity["vectors"].items():
            pairs[f"the vector or layer of {trait}"] = (self.card["vectors"].get(trait), vector)
        same_kind = kind_of(self.card["baseline"]).reference == baseline.reference  # estimates stand for exact ones
        pairs["the kind of baseline"] = (True, same_kind)
        differing = [name for name, (theirs, mine) in pairs.items() if theirs != mine]
        if differing:
            raise InputError(
                f"the reference {self.name} does not fit this run: {', '.join(differing)} differs",
                "build one with this model, these vectors and this baseline: screen reference build",
            )

    def as_card(self, trait: str) -> TraitReference:
        """As a vector's card gives a reference: rows, percentiles with intervals, and the control directions'."""
        values = self.scores[trait].astype(np.float64)
        along = self.card.get("controls", {}).get(trait)
        name = f"the reference {self.name}"
        known = summary(values, QUANTILES)
        card: TraitReference = {
            "rows": len(values),
            "source": self.name,
            "name": name,
            "mean": known["mean"],
            "sd": known["sd"],
            "highest": known["highest"],
            "intervals": known["intervals"],
            "quantiles": known["quantiles"],
        }
        if along:
            card["controls"] = along
        return card

    def directions(self, trait: str) -> Float32 | None:
        """The control directions that the trait is compared with; None where the reference has none."""
        along = self.card.get("controls", {}).get(trait)
        return self.controls.get(along["key"]) if along else None


def _of_its_kind(card: object, scores: Mapping[str, Float32], controls: Mapping[str, Float32]) -> bool:
    """Whether a card has what `check` and `as_card` read: a seal says only that a file is as it was written."""
    kinds = {"model": dict, "vectors": dict, "baseline": str, "rendering": object}
    if not isinstance(card, dict) or not all(isinstance(card.get(name), kind) for name, kind in kinds.items()):
        return False
    along = card.get("controls", {})
    if "rendering" not in card or not set(card["vectors"]) <= set(scores) or not isinstance(along, dict):
        return False
    return all(isinstance(one, dict) and _distribution(one, controls) for one in along.values())


def _distribution(one: JsonObject, controls: Mapping[str, Float32]) -> bool:
    """Whether this is how clean rows score along directions that the file holds."""
    rows, effective, quantiles, key = (one.get(name) for name in ("rows", "effective", "quantiles", "key"))
    if type(rows) is not int or not isinstance(effective, int | float) or not isinstance(quantiles, dict):
        return False
    if not isinstance(key, str) or key not in controls:
        return False
    return set(quantiles) == set(QUANTILES) and all(_row(q, len(controls[key])) for q in quantiles.values())


def _row(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(isinstance(v, int | float) for v in values)
