"""`--fail-on`: what makes a finished run end with exit code 1."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screen.errors import GateFailed, UsageError
from screen.library.settings import percent

CANNOT_TELL = "cannot-tell"
_ALL = ""


@dataclass(frozen=True, slots=True)
class Gates:
    shares: Mapping[str, float]  # trait -> the share of flagged rows above which the command fails
    told: tuple[str, ...]  # traits of which something must be told; "": every one


def parse(given: Sequence[str]) -> Gates:
    """("evil>1%", "kind=cannot-tell", "cannot-tell"). Raises UsageError for one that is not understood."""
    shares: dict[str, float] = {}
    told: list[str] = []
    for text in given:
        trait, sign, limit = text.rpartition(">")
        share = percent(limit.strip())
        if sign and trait.strip() and share is not None:
            shares[trait.strip()] = share
            continue
        trait, _, word = text.rpartition("=")
        if word.strip() != CANNOT_TELL or ("=" in text and not trait.strip()):
            raise UsageError(
                f"--fail-on {text!a} is not understood",
                f"give a trait and a share, 'evil>1%', or {CANNOT_TELL}, or 'evil={CANNOT_TELL}'",
            )
        told.append(trait.strip())
    return Gates(shares, tuple(told))


def check_names(gates: Gates, traits: Iterable[str]) -> None:
    """Raises UsageError for a gate on a trait that is not scored."""
    known = list(traits)
    for trait in (*gates.shares, *gates.told):
        if trait not in (*known, _ALL):
            close = difflib.get_close_matches(trait, known, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"--fail-on names {trait!a}, which is not scored", f"{hint}scored are {', '.join(known)}")


def check(gates: Gates, traits: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Raises GateFailed that names every gate which fails."""
    failed = [*_shares(gates, traits, out), *_untold(gates, traits, out)]
    if failed:
        raise GateFailed("\n".join(message for message, _ in failed), failed[0][1])


def _shares(gates: Gates, traits: Mapping[str, Mapping[str, Any]], out: Path) -> Iterator[tuple[str, str]]:
    """A gate holds where nothing has a score, or a threshold, or a verdict: nothing was found clean."""
    for trait, limit in gates.shares.items():
        share = traits[trait]["share"]
        if share is None or traits[trait]["threshold"] is None:
            what = "no sample has a score" if share is None else f"there is no threshold ({traits[trait]['rule']})"
            yield f"{trait}: {what}, so --fail-on cannot tell", "the lines above say why; or leave it out"
        elif share > limit:
            yield (
                f"{trait}: {100 * share:.2f} % of samples are flagged, more than the {100 * limit:g} % of --fail-on",
                f"look at them: screen rank {shlex.quote(str(out))} --by {shlex.quote(trait)} --flagged",
            )
        elif (why := _why(traits[trait])) is not None and not {trait, _ALL} & set(gates.told):
            yield (
                f"{trait}: only {100 * share:.2f} % of samples are flagged, but that says nothing here: {why}",
                "screen with vectors made for this model and checked on it (screen selftest), or leave the gate out",
            )


def _untold(gates: Gates, traits: Mapping[str, Mapping[str, Any]], out: Path) -> Iterator[tuple[str, str]]:
    for trait in traits if _ALL in gates.told else gates.told:
        if (why := _why(traits[trait])) is not None:
            yield f"{trait}: {why}", f"the verdicts again: screen status {shlex.quote(str(out))}"


def _why(trait: Mapping[str, Any]) -> str | None:
    """Why nothing can be told of a trait; None where something can, or no verdict was given."""
    verdict = trait.get("verdict") or {}
    return str(verdict.get("sentence", "")) if verdict.get("kind") == CANNOT_TELL else None
