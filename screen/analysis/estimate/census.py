"""What a dataset holds, from a seeded sample of its rows: tokens, truncation, prompts. Runs no model.

Rows are read in one pass in which only the chosen ones are parsed, then rendered in random order, so that what a
deadline cuts off is a random part of them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.baselines.answers_file import GivenAnswers
from screen.data.dataset import Dataset, Window
from screen.data.sample import RawRow, Skip
from screen.rendering.renderer import Renderer
from screen.scan.read import read_window
from screen.scoring.passes import item_of
from screen.scoring.shard import ShardInput

SAMPLE = 4096  # rows that are looked at; a dataset of no more is looked at whole
_HELD = 64 << 20  # bytes of text that are held at once
_CHUNK_ROWS, _CHUNK_BYTES = 16, 256 << 10  # between two looks at the clock
_EVERY = 4096  # rows passed over between two looks


@dataclass(frozen=True)
class LookedRow:
    """A row as a shard would have it. `tokens`: those that the model reads, of all its sequences."""

    row: int
    shard: ShardInput
    tokens: int


@dataclass(frozen=True)
class Census:
    """`looked`: the rows of the sample, in random order. `within`: the rows that it was drawn from: all, or the first
    where reading took too long. `seconds`: to render one row, on the mean."""

    rows: int
    within: int
    looked: tuple[LookedRow, ...]
    seconds: float

    @property
    def whole(self) -> bool:
        return len(self.looked) == self.rows

    @property
    def scored(self) -> list[LookedRow]:
        return [row for row in self.looked if row.shard.samples]

    def scale(self) -> float:
        """Rows for each row that was looked at."""
        return self.rows / max(len(self.looked), 1)

    def tokens(self) -> tuple[float, float, float]:
        """(all tokens, and the ends of their 95 % interval), which is a point where every row was looked at."""
        counts = np.array([row.tokens for row in self.looked], dtype=np.float64)
        total = float(counts.sum()) * self.scale()
        if self.whole or len(counts) < 2:
            return total, total, total
        left = 1 - len(counts) / self.rows
        half = 1.96 * float(counts.std(ddof=1)) * math.sqrt(left / len(counts)) * self.rows
        return total, max(float(counts.sum()), total - half), total + half

    def prompts(self) -> dict[bytes, npt.NDArray[np.int32]]:
        """The distinct prompts among the rows looked at, in their order, by their tokens."""
        found: dict[bytes, npt.NDArray[np.int32]] = {}
        for row in self.looked:
            for prompt in prompts_in(row):
                found.setdefault(prompt.tobytes(), prompt)
        return found

    def distinct_prompts(self) -> int:
        """How many the dataset has: counted, or estimated from how many of the sample came once and twice (Chao)."""
        seen = Counter(prompt.tobytes() for row in self.looked for prompt in prompts_in(row))
        if self.whole or not seen:
            return len(seen)
        once, twice = (sum(n == times for n in seen.values()) for times in (1, 2))
        most = round(sum(seen.values()) * self.scale())
        return min(most, len(seen) + round(once * (once - 1) / (2 * (twice + 1))))

    def skipped(self) -> dict[str, int]:
        """Code -> rows, of those looked at."""
        return dict(Counter(skip.code for row in self.looked for skip in row.shard.skips).most_common())

    def truncated(self) -> tuple[int, int]:
        """(samples longer than the model's context, samples), of the rows looked at."""
        lost = [rendered.tokens_lost > 0 for row in self.looked for _, rendered in row.shard.samples]
        return sum(lost), len(lost)


def prompts_in(row: LookedRow) -> list[npt.NDArray[np.int32]]:
    """The prompt of each scored turn."""
    sequences = [s for _, rendered in row.shard.samples for s in rendered.sequences]
    return [s.ids[: turn.prompt_end] for s in sequences for turn in s.turns]


def take_census(
    dataset: Dataset, renderer: Renderer, seed: int, until: float, given: GivenAnswers | None = None
) -> Census:
    """Look at up to SAMPLE rows, until the clock (time.monotonic) says `until`; at least one chunk is looked at."""
    rows, first = dataset.count() or 0, dataset.limit[0]
    order = np.random.default_rng(seed).choice(rows, min(rows, SAMPLE), replace=False)
    priority = {first + int(row): i for i, row in enumerate(order)}
    entries, within = _chosen(dataset, priority, rows, until)
    looked: list[LookedRow] = []
    began = time.monotonic()
    at = 0
    while at < len(entries) and (not looked or time.monotonic() < until):
        chunk: list[RawRow | Skip] = []
        size = 0
        while at < len(entries) and len(chunk) < _CHUNK_ROWS and size < _CHUNK_BYTES:
            chunk.append(entries[at][0])
            size += entries[at][1]
            at += 1
        looked += _look(chunk, dataset, renderer, given)
    return Census(rows, within, tuple(looked), (time.monotonic() - began) / max(len(looked), 1))


def _chosen(
    dataset: Dataset, priority: dict[int, int], rows: int, until: float
) -> tuple[list[tuple[RawRow | Skip, int]], int]:
    """(the chosen rows with their bytes of text, in the order of their priority; of how many rows they were chosen)."""
    last, first = max(priority, default=-1), dataset.limit[0]
    held: dict[int, tuple[RawRow | Skip, int]] = {}
    size, least, within = 0, len(priority), rows

    def wanted(row: int) -> bool:
        return priority.get(row, least) < least

    for row, entry in enumerate(dataset.entries(wanted)):
        if entry is not None:
            held[priority[row]] = entry, _text_bytes(entry, dataset)
            size += held[priority[row]][1]
            while size > _HELD and len(held) > 1:  # too much text: a random part of the rows goes
                least = max(held)
                size -= held.pop(least)[1]
        if row == last:
            break
        if (row + 1) % _EVERY == 0 and held and time.monotonic() > until:
            within = row + 1 - first
            break
    return [held[i] for i in sorted(held)], within


def _text_bytes(entry: RawRow | Skip, dataset: Dataset) -> int:
    read = entry if isinstance(entry, Skip) else dataset.samples(entry)
    return 0 if isinstance(read, Skip) else sum(sample.text_bytes() for sample in read)


def _look(
    entries: Sequence[RawRow | Skip], dataset: Dataset, renderer: Renderer, given: GivenAnswers | None
) -> list[LookedRow]:
    shard = read_window(Window(0, 0, len(entries), list(entries)), dataset, renderer, given=given)
    by_row = {entry.place.row: ShardInput(given=shard.given) for entry in entries}
    for sample, rendered in shard.samples:
        by_row[sample.row].samples.append((sample, rendered))
    for skip in shard.skips:
        by_row[skip.place.row].skips.append(skip)
    return [LookedRow(row, part, _tokens(part)) for row, part in by_row.items()]


def _tokens(shard: ShardInput) -> int:
    return sum(len(item_of(s).ids) for _, rendered in shard.samples for s in rendered.sequences)
