"""From a window of rows to what a shard is scored from: rendered samples, skips, groups, and answers the user gave."""

from __future__ import annotations

from dataclasses import replace

from screen.baselines.answers_file import GivenAnswers
from screen.data.dataset import Dataset, Window
from screen.data.grouping import group_of
from screen.data.sample import RawRow, Sample, Skip
from screen.rendering.renderer import Renderer
from screen.scoring.shard import ShardInput


def read_window(
    window: Window,
    dataset: Dataset,
    renderer: Renderer,
    *,
    group_by: str | None = None,
    given: GivenAnswers | None = None,
) -> ShardInput:
    """A window's rows as rendered samples and skips. A row with a bad side is one skip, whole."""
    samples: list[Sample] = []
    skips: list[Skip] = []
    groups: dict[int, str] = {}
    for entry in window.entries:
        read = dataset.samples(entry) if isinstance(entry, RawRow) else entry
        if isinstance(read, Skip):
            skips.append(read)
            continue
        samples += read if group_by is None else [_without(sample, group_by) for sample in read]
        if group_by is not None and isinstance(entry, RawRow):
            groups[entry.place.row] = group_of(entry.value, group_by)
    rendered = renderer.render(samples)
    bad = {r.place.row: r for r in reversed(rendered) if isinstance(r, Skip)}
    good = [
        (sample, r)
        for sample, r in zip(samples, rendered, strict=True)
        if not isinstance(r, Skip) and sample.row not in bad
    ]
    answers = None if given is None else given.of(good, renderer)
    return ShardInput(good, [*skips, *bad.values()], answers, groups)


def _without(sample: Sample, field: str) -> Sample:
    """The field that rows are grouped by is put to use."""
    root = field.partition(".")[0]
    return replace(sample, unused=tuple(name for name in sample.unused if name != root))
