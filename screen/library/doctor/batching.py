"""Which fast paths this machine takes with a model, proved as a run proves them."""

from __future__ import annotations

from collections.abc import Iterator

from screen.library.doctor.record import HealthCheck, ok, warn


def batching(name: str) -> Iterator[HealthCheck]:
    """Load the model and prove how sequences may share a pass. Raises ModelError for one that cannot be loaded."""
    from screen.library import devices
    from screen.model.host import Here, Loading
    from screen.model.load import layer_count, resolve
    from screen.pocket import MODEL_DIR

    folder = resolve(name, MODEL_DIR)
    layer = max(1, layer_count(folder)[0] // 2)
    device, dtype = devices.machine("auto", "auto")
    host = Here()
    try:
        model, proof = host.load(Loading(name, folder, layer, False, dtype, device, (layer,)))
        what = "the embedded model" if name == "pocket" else name
        yield ok("model", f"{what}: {model.n_layers} layers, {model.context:,} tokens of context, {device}, {dtype}")
        for note in model.notes:
            yield warn("model", note, "nothing: it is run so")
        says = (
            f"{proof.batching}; largest difference from one row at a time {proof.difference:.1e}, of {proof.bound:.1e}"
        )
        if proof.fell_back:
            yield warn(
                "batching", f"{says}; not faster: {proof.reason}", "runs are right, and slower than they could be"
            )
        else:
            yield ok("batching", f"{says}: {proof.reason}")
    finally:
        host.close()
