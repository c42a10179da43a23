"""What a model is, as hashes: so that vectors, caches and resumed runs can tell one model from another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_FULL_BYTES = 2 << 30  # hash every byte up to this total; beyond it, headers and evenly spaced blocks
_BLOCK = 1 << 20
_BLOCKS = 64
_VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "_attn_implementation")


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the weight files: "full:<hex>", or "sampled:<hex>" over 2 GiB (size, head, 64 blocks a file)."""
    files = sorted(folder.glob("*.safetensors"))
    full = sum(f.stat().st_size for f in files) <= _FULL_BYTES
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{path.stat().st_size};".encode())
        with path.open("rb") as f:
            if full:
                while block := f.read(_BLOCK):
                    digest.update(block)
            else:
                size = path.stat().st_size
                for i in range(_BLOCKS):
                    f.seek(i * max(size - _BLOCK, 0) // (_BLOCKS - 1))
                    digest.update(f.read(_BLOCK))
    return f"{'full' if full else 'sampled'}:{digest.hexdigest()}"


def config_sha256(folder: Path) -> str:
    """SHA-256 of config.json without the fields that change without changing the model."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {k: v for k, v in config.items() if k not in _VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
