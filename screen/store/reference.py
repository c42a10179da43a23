"""A reference set: the scores of data trusted to be clean, in one file, with what it holds for.

Made from a finished run by `screen reference build`; a run takes it with `--reference` and then gives every row a
percentile, a z-score and an empirical p-value, and flags by a percentile or at a false-discovery rate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen import seal
from screen.errors import InputError, StoreError
from screen.scoring.schema import score_column
from screen.store.files import DISK, storing, write_atomically
from screen.store.folder import RunFolder
from screen.store.unfinished import unfinished

MOST = 20_000  # scores kept a trait
LEAST = 100
_EXACT = ("generate", "answers", "calibrated")  # of one kind: estimates stand for exact differences
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """scores  trait -> (n,) float32 ascending; card  what it was made from and holds for"""

    name: str
    scores: Mapping[str, Float32]
    card: Mapping[str, Any]
    sha256: str = ""

    @classmethod
    def from_run(cls, folder: RunFolder) -> Reference:
        """The scores of a finished run; of more than MOST rows an evenly spaced choice in row order.

        Raises InputError for a run that is not finished or has fewer than LEAST scores of a trait.
        """
        if not folder.finished:
            raise InputError(*unfinished(folder))
        kind = folder.facts["baseline"]
        found: dict[str, Float32] = {}
        for trait in folder.traits:
            column = score_column(trait, kind, bool(folder.identity.get("settings", {}).get("refine")))
            parts = [pq.read_table(f, columns=[column])[column] for f in folder.tables("scores")]
            chunks = [c for part in parts for c in part.chunks]
            values = pc.drop_null(pa.chunked_array(chunks, pa.float32())).to_numpy()
            if len(values) < LEAST:
                raise InputError(
                    f"{folder.path}: {len(values)} rows have a score for {trait}; a reference needs {LEAST} at least",
                    "give more clean rows",
                )
            if len(values) > MOST:
                values = values[np.linspace(0, len(values) - 1, MOST).round().astype(np.int64)]
            found[trait] = np.sort(values)
        card = {
            "baseline": kind,
            "model": folder.identity["model"],
            "rendering": folder.identity["rendering"],
            "vectors": folder.identity["vectors"],
            "dataset": folder.facts.get("dataset", {}).get("files", []),
            "rows": {trait: len(values) for trait, values in found.items()},
            "summary": {t: {"mean": float(v.mean()), "sd": float(v.std())} for t, v in found.items()},
        }
        return cls(folder.path.name, found, card)

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        from safetensors.numpy import save as encode

        meta = {"reference": json.dumps({**self.card, seal.SEAL: seal.BLANK})}
        with storing(path.parent, flag="-o"):
            write_atomically(path, seal.sealed_tensors(encode(dict(sorted(self.scores.items())), meta)), DISK)

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Raises StoreError for a file that is not a reference."""
        from safetensors import SafetensorError
        from safetensors.numpy import load as decode

        nxt = "build one with `screen reference build clean.jsonl -o clean.reference`"
        try:
            data = path.read_bytes()
            seal.check_tensors(data)
            scores = {name: values.copy() for name, values in sorted(decode(data).items())}
            card = json.loads(seal.metadata(data)["reference"])
            del card[seal.SEAL]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            why = str(error).splitlines()[0][:100]
            raise StoreError(f"{path} is not a reference, or is damaged ({why})", nxt) from None
        good = all(v.dtype == np.float32 and v.ndim == 1 and np.isfinite(v).all() for v in scores.values())
        if not scores or not good or not isinstance(card, dict) or "vectors" not in card:
            raise StoreError(f"{path} is not a reference: its arrays or its card are not of that kind", nxt)
        return cls(path.name, {t: np.sort(v) for t, v in scores.items()}, card, hashlib.sha256(data).hexdigest())

    def check(self, identity: Mapping[str, Any], kind: str) -> None:
        """Whether a run's scores are of the same kind. Raises InputError that names what differs."""
        ours = {"config", "weights", "tokenizer"}
        pairs = {f"the model's {n}": (self.card["model"].get(n), identity["model"].get(n)) for n in sorted(ours)}
        pairs["the chat template or rendering"] = (self.card["rendering"], identity["rendering"])
        for trait, vector in identity["vectors"].items():
            pairs[f"the vector or layer of {trait}"] = (self.card["vectors"].get(trait), vector)
        same_kind = self.card["baseline"] == kind or {self.card["baseline"], kind} <= set(_EXACT)
        pairs["the kind of baseline"] = (True, same_kind)
        differing = [name for name, (theirs, mine) in pairs.items() if theirs != mine]
        if differing:
            raise InputError(
                f"the reference {self.name} does not fit this run: {', '.join(differing)} differs",
                "build one with this model, these vectors and this baseline: screen reference build",
            )

    def as_card(self, trait: str) -> dict[str, Any]:
        """As a vector's card gives a reference: rows and percentiles."""
        values = self.scores[trait]
        names = {f"p{q}": q for q in range(1, 100)} | {"p999": 99.9}
        quantiles = {name: float(np.quantile(values, q / 100)) for name, q in names.items()}
        return {"rows": len(values), "source": self.name, "name": f"the reference {self.name}", "quantiles": quantiles}
