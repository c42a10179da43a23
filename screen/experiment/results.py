"""What a study came to, as OUT/results.json keeps it, and as a reader of the same run takes it from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from screen.errors import StoreError, UsageError, near
from screen.experiment.cuts import MeasuredCuts, measured_cuts
from screen.experiment.outcome import ArmOutcome, TraitFinding
from screen.foreign import JsonObject
from screen.seal import Broken, open_json
from screen.store.scan import Scan

RESULTS = "results.json"
FOLDER = ".validation"  # beside the run, in place of its suffix
_DECIDES = ("dataset", "model", "vectors", "rendering", "settings")  # of a run's identity


@dataclass(frozen=True)
class Study:
    """What came of it. `run`: what was measured; `spec`: how; `reused`: fine-tunings of an earlier call; `away`: rows
    that are trained away from, left out."""

    run: JsonObject
    spec: JsonObject
    outcomes: Sequence[ArmOutcome]
    findings: Sequence[TraitFinding]
    cuts: Sequence[MeasuredCuts]
    reused: int
    away: int

    def to_json(self) -> JsonObject:
        return {
            "run": self.run,
            "study": self.spec,
            "away": self.away,
            "findings": [asdict(f) for f in self.findings],
            "cuts": [asdict(c) for c in self.cuts],
            "outcomes": [asdict(o) for o in self.outcomes],
        }


def identity(scan: Scan) -> JsonObject:
    """What decides the scores that rows were ranked by."""
    return {name: value for name, value in scan.folder.identity.items() if name in _DECIDES}


def cuts_of(scan: Scan, folder: Path, trait: str) -> MeasuredCuts:
    """The measured points of a trait's cut curve. Raises StoreError for what is no finished validation, UsageError for
    one of another run, with a shuffled ranking, or without cuts of this trait."""
    stored = _stored(folder)
    again = f"measure them: {_command(scan, trait)}"
    if differing := _differing(stored.get("run", {}), identity(scan)):
        raise UsageError(f"{near(folder)} is not of this run (differing: {', '.join(differing)})", again)
    if stored["study"].get("ranking"):
        raise UsageError(f"{near(folder)} was measured with a {stored['study']['ranking']} ranking", again)
    for one in measured_cuts([ArmOutcome(**o) for o in stored["outcomes"]], [trait]):
        return one
    raise UsageError(f"{near(folder)} has no cut by {trait}", again)


def _command(scan: Scan, trait: str) -> str:
    arms = ",".join(f"cut:{share}%" for share in (5, 10, 20, 40, 60))
    return f"screen validate {near(scan.path)} --by {trait} --arms all,{arms}"


def _stored(folder: Path) -> JsonObject:
    nxt = "`screen validate RUN --arms all,cut:5%,cut:10%,...` makes one; finished fine-tunings are kept"
    try:
        return open_json((folder / RESULTS).read_bytes())
    except OSError as error:
        raise StoreError(f"{near(folder)} has no {RESULTS} of `screen validate` ({error.strerror})", nxt) from None
    except Broken as error:
        raise StoreError(f"{near(folder)}/{RESULTS} is damaged: {error}", nxt) from None


def _differing(theirs: Mapping[str, object], mine: Mapping[str, object]) -> list[str]:
    """What was measured with another: "the dataset", "the vectors"."""
    return [f"the {name}" for name in _DECIDES if theirs.get(name) != mine.get(name)]
