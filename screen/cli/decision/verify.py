"""`screen verify`: whether a bundle is whole and unaltered."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from screen.cli.output import print_json
from screen.errors import GateFailed

if TYPE_CHECKING:
    from screen.handover.bundle.verify import Verification

_SHOWN = 20
_EPILOG = """\b
By itself a bundle is held against its own digests: every file, and every row
once. Whoever changes a file and all digests with it is found out only with
  --dataset  every row, and the bytes around them, beside the dataset
  --seal     the digest that `export` printed, noted down elsewhere
What is printed says which of them was looked at.

\b
Examples:
  screen verify chats.audit
  screen verify chats.audit --dataset chats.jsonl --seal 5f0c...
"""


@click.command("verify", epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--dataset", multiple=True, metavar="PATH", help="The dataset, as `run` was given it.")
@click.option("--seal", metavar="SHA256", help="The seal that was noted down when it was signed off.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(bundle: Path, dataset: tuple[str, ...], seal: str | None, as_json: bool) -> None:
    """Check BUNDLE: kept + dropped + skipped is the input, each row once, nothing altered.

    Exits 1 where something is wrong, and names the file and the row.
    """
    from screen.handover.bundle.verify import verify

    found = verify(bundle, dataset=dataset, seal=seal)
    if as_json:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        _print(found)
    if not found.ok:
        more = f"; and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        raise GateFailed(
            f"{bundle} does not verify: {found.problems[0]}{more}", "use a copy that does, or export again"
        )


def _print(found: Verification) -> None:
    from screen_reports.text import count, one_line, plural

    from screen.handover.bundle.verify import DATASET

    lines = [f"wrong: {problem}" for problem in found.problems[:_SHOWN]]
    if len(found.problems) > _SHOWN:
        lines.append(f"and {len(found.problems) - _SHOWN:,} more")
    if found.ok:
        counts = found.counts
        parts = ", ".join(f"{count(counts[part])} {part}" for part in ("kept", "dropped", "skipped"))
        sure = "nothing altered" if DATASET in found.against else "as its own digests say"
        lines.append(f"{plural(counts['rows'], 'row')}: {parts}; each once, {sure}")
        signed = f"signed by {found.signed_by}" if found.signed_by else "not signed by anybody"
        lines += [f"{signed}, made {found.made}", f"seal {found.seal}"]
    *first, last = found.against
    lines.append(f"checked against {', '.join(first)}{' and ' if first else ''}{last}")
    lines += [f"not checked against {other}" for other in _left_out(found)]
    sys.stdout.write("".join(one_line(line) + "\n" for line in lines))


def _left_out(found: Verification) -> list[str]:
    from screen.handover.bundle.verify import DATASET, SEAL

    told = {
        DATASET: "the dataset (--dataset): rows may be others than screened",
        SEAL: "a seal (--seal): the manifest may have been made anew",
    }
    return [words for other, words in told.items() if other not in found.against]
