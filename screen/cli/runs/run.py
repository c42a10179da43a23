"""`screen run`: score a dataset."""

from __future__ import annotations

import gc
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from screen.cli.output import print_json
from screen.cli.runs import gates, settings
from screen.errors import Interrupted, SkipLimit
from screen.spec import ScanSpec

if TYPE_CHECKING:
    from screen.cli.voice import Voice

_EPILOG = """\b
--fail-on 'evil>1%' also fails where the share is lower but the verdict is that
nothing can be told; --fail-on cannot-tell (or 'evil=cannot-tell') alone fails
where the verdict on a trait is that nothing can be told.

\b
Examples:
  screen run examples/support-chats.jsonl
  screen run chats.jsonl.gz --model ./qwen2.5-7b --vectors vectors/ --layer evil=20
  screen run chats.jsonl --baseline calibrated --refine --group-by source --fail-on 'evil>1%'
  zcat chats.gz | screen run - --out chats.screen
"""


@click.command("run", epilog=_EPILOG)
@click.argument("dataset", nargs=-1)
@click.option("--model", help="The model you fine-tune: a folder or a hub id.  [default: the embedded model]")
@click.option("--vectors", multiple=True, metavar="PATH", help="Persona vectors: files or folders; repeatable.")
@click.option("--traits", metavar="A,B", help="Score these traits only.")
@click.option("--layer", multiple=True, metavar="TRAIT=N", help="Layer of a trait; repeatable.  [default: the card's]")
@click.option(
    "--baseline", metavar="auto|generate|calibrated|last-prompt|answers:FILE|none", help="What to subtract.  [auto]"
)
@click.option(
    "--answer-by", type=click.Choice(["model", "endpoint"]),
    help="Who makes baseline responses: the model, or its server at OPENAI_BASE_URL, by token ids.  [default: model]",
)  # fmt: skip
@click.option("--refine", is_flag=True, default=None, help="Calibrated: answer exactly where a flag is open.")
@click.option(
    "--calibrate-on", type=click.IntRange(50), metavar="N", help="Prompts that are answered.  [default: 1024]"
)
@click.option("--group-by", metavar="FIELD", help="A verdict for each value of this field.  [default: by file]")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Length of the baseline responses.  [default: 256]")
@click.option(
    "--generation-batch-size", type=click.IntRange(1), help="Prompts answered at once.  [default: 16, on CUDA 64]"
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: DATASET.screen beside it]")
@click.option("--limit", metavar="N|A-B", help="The first N rows, or rows A to B (from 0, both included).")
@click.option("--format", "shape", metavar="SHAPE", help="The rows' shape, where it is not to be detected.")
@click.option("--map", "fields", multiple=True, metavar="ROLE=FIELD", help="Which field is what; repeatable.")
@click.option("--config", metavar="FILE", help="Your axolotl, TRL or LLaMA-Factory file, instead of --map.")
@click.option("--train-on", type=click.Choice(["assistant", "last", "all"]), help="What counts.  [default: assistant]")
@click.option("--max-row-mib", type=click.IntRange(1, 64), metavar="N", help="Text a row may have.  [default: 8]")
@click.option("--render", type=click.Choice(["chat", "plain"]), help="Questions given as texts.  [default: chat]")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--end-of-turn", is_flag=True, default=None, help="Count the end-of-turn token as answer.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), help="[default: auto]")
@click.option("--device", metavar="auto|cpu|cuda|mps", help="[default: auto]")
@click.option("--devices", metavar="0,1|all|cpu:N",
              help="Share the work: a process for each GPU named (0,0: two on one), or N on the CPU.")  # fmt: skip
@click.option("--in-process", is_flag=True,
              help="Run the model in this process, where a row that crashes it ends the run; to debug.")  # fmt: skip
@click.option("--batch-tokens", type=click.IntRange(64), help="Tokens in one batch.  [default: 2048, on CUDA 16384]")
@click.option("--shard-rows", type=click.IntRange(1), help="Rows stored at once.  [default: 512]")
@click.option("--max-errors", default="10%", show_default=True, metavar="N|N%|none", help="Rows that may be skipped.")
@click.option("--at", metavar="pNN", help="Flag above this percentile of the reference.  [default: p99]")
@click.option("--fdr", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="Q",
              help="Flag at this false-discovery rate against --reference.")  # fmt: skip
@click.option("--reference", metavar="FILE", help="Scores of clean data, from `screen reference build`.")
@click.option("--fail-on", multiple=True, metavar="'TRAIT>N%'|cannot-tell",
              help="Exit 1 if more rows are flagged, or nothing can be told; repeatable.")  # fmt: skip
@click.option("--spec", type=click.Path(path_type=Path), metavar="scan.json", help="Settings of an earlier run.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where baseline responses are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
@click.option("-v", "--verbose", is_flag=True, help="Say more about the choices made.")
def command(dataset: tuple[str, ...], **options: Any) -> None:
    """Score DATASET (.jsonl .json .csv .tsv .txt .parquet .arrow, each also .gz or .zst; folders; - for stdin).

    The same command, typed again, goes on where a run stopped.
    """
    wanted = gates.parse(options["fail_on"])
    spec = spec_of(dataset, options, wanted)
    out = options["out"] or settings.default_out(spec.dataset)
    summary = perform(spec, out, options)
    _report(out, summary, options["as_json"])
    gates.check(wanted, summary["traits"], out)


def spec_of(dataset: tuple[str, ...], options: Mapping[str, Any], wanted: gates.Gates = gates.NONE) -> ScanSpec:
    """The spec of a command line. Whatever can be told without a model library is told before one is loaded."""
    from screen.cli.runs import early

    settings.check_at(options["at"])
    settings.check_fdr(options)
    settings.max_errors(options["max_errors"])
    settings.check_devices(options["devices"])
    settings.check_device(options["device"] or "auto")
    chosen = _chosen(dataset, options)
    out = options["out"] or settings.default_out(chosen["dataset"])
    vectors = early.check(chosen, out, options["at"], options["cache"])
    gates.check_names(wanted, vectors.traits)
    if shared := settings.devices(options["devices"]):
        chosen["device"] = shared[0]
    return settings.build(chosen)


def _chosen(dataset: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that flags give, over those of --spec."""
    flags = {
        "dataset": dataset,
        "model": options["model"],
        "vectors": options["vectors"],
        "traits": settings.names(options["traits"]),
        "layers": settings.layers(options["layer"]),
        **settings.baseline(options["baseline"]),
        "answer_by": options["answer_by"],
        "refine": options["refine"],
        "reference": options["reference"],
        "calibrate_on": options["calibrate_on"],
        "group_by": options["group_by"],
        "max_new_tokens": options["max_new_tokens"],
        "generation_batch_size": options["generation_batch_size"],
        "limit": settings.rows_range(options["limit"]),
        "format": options["shape"],
        "map": settings.pairs("--map", options["fields"], "prompt=question"),
        "train_on": options["train_on"],
        "max_row_mib": options["max_row_mib"],
        "render": options["render"],
        "config": options["config"],
        "template": options["template"],
        "end_of_turn": options["end_of_turn"],
        "dtype": options["dtype"],
        "device": options["device"],
        "token_budget": options["batch_tokens"],
        "shard_rows": options["shard_rows"],
    }
    return settings.merged(flags, settings.load_spec(options["spec"]) if options["spec"] else {})


def perform(spec: ScanSpec, out: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    from screen.cli.voice import voice

    speaker = voice(options["quiet"], options["verbose"])
    rows, share = settings.max_errors(options["max_errors"])
    with _stopping(out, speaker):
        from screen.scan.meter import MaxErrors
        from screen.scan.run import run_scan

        gc.freeze()  # or at the end the libraries are walked once more; not later, as duckdb complains of it
        from screen.store.folder import RunFolder
        from screen.store.sql import catalogue

        summary = run_scan(
            spec,
            out,
            progress=speaker,
            cache=options["cache"] or settings.default_cache(),
            max_errors=MaxErrors(rows=rows, share=share),
            at=options["at"],
            fdr=options["fdr"],
            devices=settings.devices(options["devices"]),
            in_process=options["in_process"],
        )
        catalogue.renew(RunFolder.read(out))
    return summary


@contextmanager
def _stopping(out: Path, speaker: Voice) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run between two storage operations; the live line goes whatever happens."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except SkipLimit as error:
        raise SkipLimit(error.message, error.next_step.replace("RUN", shlex.quote(str(out)))) from None
    except KeyboardInterrupt:
        speaker.close()
        safe = f"what was scored is safe in {out}" if out.exists() else "nothing was written yet"
        again = shlex.join(["screen", *sys.argv[1:]])
        raise Interrupted(f"stopped; {safe}", f"the same command goes on from there: {again}") from None
    finally:
        speaker.close()
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _report(out: Path, summary: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"run": str(out), **summary})
        return
    from screen_reports.console import Terminal
    from screen_reports.summary import print_summary

    from screen.store.scan import Scan

    print_summary(Terminal(), Scan.open(out), summary, out)
