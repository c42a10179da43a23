"""How soon a change is found, how often nothing is taken for one, and what a prompt shows before it is answered.

    python -m bench.monitoring [--quick]

On the embedded model. Three draws of held-out conversations that share nothing: clean ones that the detector is
calibrated on, clean ones that it is tried on, and, for each trait, ones in its voice. Each is scored once; 200 streams
are then drawn from the scores: clean ones throughout, and ones in which a persona begins at message START. A random
direction of the same layer stands beside each trait. Writes docs/monitoring-figures.json and the tables of
docs/how-to/monitoring.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.prompted import prompted
from research.pocket.corpus.chats import mixed
from screen.monitor.change import Alarm, Bar, ChangeDetector, bars
from screen.monitor.known import BASELINE
from screen.pocket import TRAITS, VECTORS_DIR
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.stats import share_below, summary
from screen.store.folder import RunFolder
from screen.store.scan import Scan
from screen.vectors.files import load_vector, save_vector
from screen.vectors.persona import PersonaVector

DOCS = Path(__file__).parents[1] / "docs"
FIGURES, PAGE = DOCS / "monitoring-figures.json", DOCS / "how-to" / "monitoring.md"
REFERENCE, CLEAN, SPOKEN = 1000, 1000, 250  # conversations of each draw
SEEDS, START, LENGTH = 200, 300, 600  # streams; where the persona begins; conversations of a stream
PER = 20_000  # a false alarm in so many conversations at the most
SHARES = (1.0, 0.2)  # of the conversations from START on that are in the persona's voice
QUANTILES = {name: share_below(name) for name in ("p50", "p75", "p90", "p95", "p99")}
Floats = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A twentieth of it, printed and not written.")
    quick: bool = parser.parse_args().quick
    figures = measure(20 if quick else 1)
    if quick:
        print(tables(figures))
        return
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


def measure(less: int) -> dict[str, Any]:
    """Everything. `less`: by so much fewer conversations and streams."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = with_random(folder / "vectors")
        clean = scored(folder, "reference", mixed(REFERENCE // less, seed=401, shares={}).rows, vectors)
        tried = scored(folder, "clean", mixed(CLEAN // less, seed=402, shares={}).rows, vectors)
        spoken = {
            trait: scored(folder, trait, mixed(SPOKEN // less, seed=403, shares={trait: 1.0}).rows, vectors)
            for trait in TRAITS
        }
        before = prompted(vectors, less)
    seeds = max(4, SEEDS // less)
    return {
        "setting": {
            "reference": REFERENCE // less, "clean": CLEAN // less, "spoken": SPOKEN // less, "seeds": seeds,
            "start": START, "length": LENGTH, "per": PER, "baseline": BASELINE.name,
        },
        "streams": [
            streams(trait, direction, clean, tried, spoken[trait], seeds)
            for trait in TRAITS
            for direction in (trait, f"random_{trait}")
        ],
        "prompts": before,
    }  # fmt: skip


def with_random(folder: Path) -> Path:
    """The embedded model's vectors, and beside each a random direction at its layer."""
    folder.mkdir()
    for number, trait in enumerate(TRAITS):
        vector = load_vector(VECTORS_DIR / f"{trait}.safetensors")
        rng = np.random.default_rng(number)
        rows = rng.normal(size=vector.direction.shape).astype(np.float32)
        card = {"layer": vector.card["layer"], "model": vector.card["model"]}
        save_vector(PersonaVector(trait, vector.direction, vector.hs_index, card), folder / f"{trait}.safetensors")
        random = PersonaVector(f"random_{trait}", rows, vector.hs_index, card)
        save_vector(random, folder / f"random_{trait}.safetensors")
    return folder


def scored(folder: Path, name: str, rows: Sequence[Mapping[str, object]], vectors: Path) -> dict[str, Floats]:
    """Direction -> (n,) scores, in the order of the rows."""
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = ScanSpec((str(data),), vectors=(str(vectors),), baseline=BASELINE.name)
    run_scan(spec, folder / name, in_process=True)
    print(f"{name}: scored", file=sys.stderr, flush=True)
    return of_run(folder / name)


def of_run(run: Path) -> dict[str, Floats]:
    scan = Scan(RunFolder.read(run))
    frame = scan.scores().collect()
    return {d: frame[BASELINE.column(d)].to_numpy().astype(np.float64) for d in scan.traits}


def streams(
    trait: str, direction: str, clean: Mapping[str, Floats], tried: Mapping[str, Floats], spoken: Mapping[str, Floats],
    seeds: int,
) -> dict[str, Any]:  # fmt: skip
    """Along one direction: alarms on clean streams, and the delay behind START in streams of each share."""
    reference = clean[direction]
    known = bars({"rows": len(reference), **summary(reference, QUANTILES)})
    quiet = [watched(known, drawn(seed, tried[direction], spoken[direction], 0.0)) for seed in range(seeds)]
    false = sum(len(alarms) for alarms in quiet)
    found: dict[str, Any] = {}
    for share in SHARES:
        first = [
            watched(known, drawn(seed, tried[direction], spoken[direction], share), START) for seed in range(seeds)
        ]
        behind = [next((a for a in alarms if a.at >= START), None) for alarms in first]
        delays = [alarm.at - START + 1 for alarm in behind if alarm is not None]
        began = [abs(alarm.began - START) for alarm in behind if alarm is not None]
        found[f"{share:g}"] = {
            "found": len(delays),
            "delay_median": float(np.median(delays)) if len(delays) > seeds / 2 else None,
            "delay_p90": float(np.quantile(delays, 0.9)) if len(delays) > 0.95 * seeds else None,
            "began_off_median": float(np.median(began)) if began else None,
        }
    apart = (spoken[direction].mean() - reference.mean()) / reference.std()
    return {
        "trait": trait,
        "direction": direction,
        "apart_sds": round(float(apart), 3),
        "false_alarms": false,
        "streams_with_one": sum(bool(alarms) for alarms in quiet),
        "stated": round(seeds * LENGTH / PER, 3),
        "found": found,
    }


def drawn(seed: int, clean: Floats, spoken: Floats, share: float) -> Floats:
    """(LENGTH,) scores drawn with replacement: from START on a share of them of the persona's."""
    rng = np.random.default_rng(seed)
    scores = rng.choice(clean, LENGTH)
    there = np.flatnonzero(rng.random(LENGTH) < share)
    there = there[there >= START]
    scores[there] = rng.choice(spoken, len(there))
    return np.asarray(scores)


def watched(known: Sequence[Bar], scores: Floats, until: int = LENGTH) -> list[Alarm]:
    """Alarms, as far as the first at `until` or behind it."""
    detector = ChangeDetector(known, PER)
    alarms: list[Alarm] = []
    for score in scores.tolist():
        if (alarm := detector.update(score)) is not None:
            alarms.append(alarm)
            if alarm.at >= until:
                break
    return alarms


MARKS = ("<!-- figures: streams -->", "<!-- figures: prompts -->", "<!-- figures: end -->")


def with_tables(page: str, figures: Mapping[str, Any]) -> str:
    """The page with its two tables made anew: what stands between a mark and the next empty line behind a table."""
    for mark, table in zip(MARKS, (stream_table(figures), prompt_table(figures)), strict=False):
        before, _, rest = page.partition(f"{mark}\n")
        _, end, after = rest.partition(f"{MARKS[-1]}\n")
        page = f"{before}{mark}\n{table}{end}{after}"
    return page


def tables(figures: Mapping[str, Any]) -> str:
    return f"{stream_table(figures)}\n{prompt_table(figures)}"


def stream_table(figures: Mapping[str, Any]) -> str:
    setting = figures["setting"]
    share = f"{100 * SHARES[1]:g} %"
    lines = [
        f"| trait | direction | persona lies | false alarms in {setting['seeds']} clean streams (stated at most) "
        f"| found, all of it | delay: median, p90 | found, {share} of it | delay: median, p90 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for s in figures["streams"]:
        named = "its own" if s["direction"] == s["trait"] else "random"
        cells = [s["trait"], named, f"{s['apart_sds']:+.2f} sd", f"{s['false_alarms']} ({s['stated']:g})"]
        for found in s["found"].values():
            cells += [
                f"{found['found']} of {setting['seeds']}",
                f"{_n(found['delay_median'])}, {_n(found['delay_p90'])}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def prompt_table(figures: Mapping[str, Any]) -> str:
    lines = [
        "| trait | prompts | direction | answers | r over all | r within a condition | trait shown, by condition |",
        "|---|---|---|---|---|---|---|",
    ]
    for p in figures["prompts"]:
        named = "its own" if p["direction"] == p["trait"] else "random"
        shown = "; ".join(f"{name}: {c['shown']:.0f}" for name, c in p["conditions"].items())
        within = "-" if p["r_within"] is None else f"{p['r_within']:+.2f}"
        kind = "system prompts" if p["kind"] == "system" else "earlier answers"
        lines.append(f"| {p['trait']} | {kind} | {named} | {p['answers']} | {p['r_all']:+.2f} | {within} | {shown} |")
    return "\n".join(lines) + "\n"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
