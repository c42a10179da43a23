"""What every piece of the study took, and with which versions."""

from __future__ import annotations

from collections.abc import Mapping

from research.proof.tables import table
from screen.foreign import JsonObject


def section(found: Mapping[str, JsonObject]) -> str:
    body = [
        [name, f"{p['processor_seconds'] / 60:.1f}", f"{p['seconds'] / 60:.1f}", p["measured"]]
        for name, p in found.items()
    ]
    whole = sum(p["processor_seconds"] for p in found.values()) / 60
    versions = {tuple(sorted(p["versions"].items())) for p in found.values()}
    told = [", ".join(f"{name} {version}" for name, version in some) for some in sorted(versions)]
    return "\n".join(
        [
            "## What it took\n",
            f"{whole:.0f} minutes of processor time, without that of the processes in which scans run the model; `just"
            " proof` spreads it over two cores. Minutes on the clock were measured beside other work, on a machine that"
            " had too much of it.\n",
            table(["piece", "processor, minutes", "clock, minutes", "measured"], body),
            "",
            "Versions: " + "; ".join(told) + ".",
            "",
        ]
    )
