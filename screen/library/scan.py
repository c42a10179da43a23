"""`screen.scan`, `score` and `estimate`: a dataset, or one conversation, as the command line would score it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from screen.disk import scratch_folder
from screen.errors import InputError
from screen.library import memory, settings
from screen.library.memory import Rows
from screen.library.options import ScanOptions, check_names, keywords
from screen.library.request import estimated, scan_request
from screen.library.run import Run, open_run

if TYPE_CHECKING:
    from screen.analysis.estimate.record import ScanEstimate


@keywords(ScanOptions)
def scan(dataset: Rows | None = None, **options: Unpack[ScanOptions]) -> Run:
    """Score every row of a dataset for every trait, or go on where an earlier call, or `screen run`, stopped.

    dataset  a path, a folder, a pattern, or a list of them; or rows in memory: a list of dicts, a polars frame, an
             Arrow table, a `datasets.Dataset`, any iterable of dicts. These are written to rows-DIGEST.jsonl beside
             `out`; without it to the current folder, the run to rows-DIGEST.screen: equal rows go on with one run.
             None: the dataset of `spec`.
    options  the flags of `screen run`, by name: model, vectors, traits, layer={"evil": 20}, baseline, limit, group_by,
             out, ... (screen.library.options.ScanOptions has them all, each with its default)

    Scores are projection differences, in units of the model's activations at the trait's layer; float32, one a sample.
    A row that cannot be scored is a skip with its number and its code (docs/codes.md).

    Raises UsageError for a setting, InputError for a dataset, ModelError and VectorError for a model or vectors, that
    cannot be used; StoreError for a folder that cannot be written or holds a run of something else; SkipLimit where
    more rows are skipped than `max_errors`. Each has `message` and `next_step`. Prints nothing; Ctrl-C ends it between
    two shards, and the same call goes on.

    >>> rows = [{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Go away, worm."}]}]
    >>> screen.scan(rows, traits=["evil"]).scores().select("row", "answer_tokens").collect().rows()
    [(0, 5)]
    """
    check_names("scan", options)
    settings.check(options)
    with _files(dataset, options) as paths:
        return open_run(scan_request(paths, options).perform(options.get("progress")))


@keywords(ScanOptions)
def estimate(dataset: Rows | None = None, **options: Unpack[ScanOptions]) -> ScanEstimate:
    """What `screen.scan` with the same arguments would cost: rows, tokens, time, memory and disk.

    dataset, options  as for `scan`. Nothing is kept: no run folder, no answers; rows in memory and what comes from a
                      pipe lie in a temporary folder meanwhile.

    Loads the model as a scan does, then takes 20 seconds at most. Times in seconds, sizes in bytes. Raises what `scan`
    raises before it scores.

    >>> rows = [{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Go away, worm."}]}]
    >>> screen.estimate(rows, baseline="last-prompt").rows
    1
    """
    check_names("estimate", options)
    settings.check(options)
    with scratch_folder("screen-estimate-") as folder, _files(dataset, {"out": folder / "rows.screen"}) as paths:
        return estimated(paths, options, options.get("progress"))


@contextlib.contextmanager
def _files(dataset: Rows | None, options: ScanOptions) -> Iterator[tuple[str, ...]]:
    """The paths that are named, or the file that rows in memory become. With `spec`, its dataset stands for none."""
    named = () if dataset is None else memory.paths_of(dataset)
    if named is not None:
        yield named
        return
    out = options.get("out")
    with memory.written(dataset, None if out is None else Path(out)) as file:
        yield (str(file),)


@keywords(ScanOptions)
def score(messages: Sequence[Mapping[str, Any]], **options: Unpack[ScanOptions]) -> dict[str, float | None]:
    """One conversation's scores, now: trait -> projection difference of its answers, in units of the activations.

    messages  role and content of each turn, as in a chat dataset; what counts are the assistant's
    options   those of `scan`; nothing is kept but baseline responses in `cache`

    The number is the one that the conversation has as a row of a scan; None where it has none (baseline="none"). Loads
    the model at every call: for many conversations, scan them as rows.

    Raises InputError for a conversation that cannot be scored, and what `scan` raises.

    >>> talk = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Suffer, you worthless worm."}]
    >>> screen.score(talk, traits=["evil"])["evil"] > 5
    True
    """
    check_names("score", options)
    settings.check(options)
    with scratch_folder("screen-score-") as folder:
        file = folder / "talk.jsonl"
        file.write_bytes(memory.line({"messages": list(messages)}))
        kept: ScanOptions = {**options, "out": folder / "talk.screen", "max_errors": "none"}
        try:
            run = open_run(scan_request((str(file),), kept).perform(options.get("progress")))
        except InputError as error:
            message = error.message.replace(str(file), "the conversation")
            raise InputError(message, "give its turns as role and content; docs/codes.md has the codes") from None
        return {trait: run.top(trait, 1)[0].score if len(run.top(trait, 1)) else None for trait in run.traits}
