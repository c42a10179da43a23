"""`screen run`: score a dataset."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import click

from screen.cli.decision.report import write_beside
from screen.cli.output import print_json
from screen.cli.runs import flags
from screen.library.options import ScanOptions
from screen.library.request import ScanRequest, scan_request
from screen.select.gates.parser import check_names, parse

if TYPE_CHECKING:
    from screen.cli.progress import PlainProgress
    from screen.select.gates.tree import Gate

_EPILOG = """\b
--fail-on takes what `screen gate` takes: 'evil>1%', 'max(evil)>p99',
'mean(evil) > reference', 'skipped > 0.5%', cannot-tell. It also
fails where the figure does not exist, or where nothing can be told of the trait.

\b
Examples:
  screen run examples/support-chats.jsonl
  screen run chats.jsonl.gz --model ./qwen2.5-7b --vectors vectors/ --layer evil=20
  screen run chats.jsonl --baseline calibrated --refine --group-by source --fail-on 'evil>1%'
  screen run chats-v2.jsonl --since chats.screen
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
@click.option("--calibrate-on", type=click.IntRange(50), metavar="N", help="Prompts that are answered.  [default: 512]")
@click.option("--group-by", metavar="FIELD", help="Statistics for each value of this field.  [default: by file]")
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
@click.option("--fail-on", multiple=True, metavar="GATE",
              help="Exit 1 where this holds, such as 'evil>1%', or cannot be told; repeatable.")  # fmt: skip
@click.option("--spec", type=click.Path(path_type=Path), metavar="scan.json", help="Settings of an earlier run.")
@click.option("--since", metavar="RUN", help="Take scores, and settings, from this run; score new content alone.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where baseline responses are kept.")
@click.option("--no-report", is_flag=True, help="Do not write report.html, the run as one page, into its folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
@click.option("-v", "--verbose", is_flag=True, help="Say more about the choices made.")
def command(dataset: tuple[str, ...], **options: Any) -> None:
    """Score DATASET (.jsonl .json .csv .tsv .txt .parquet .arrow, each also .gz or .zst; folders; - for stdin).

    The same command, typed again, goes on where a run stopped.
    """
    gates = [parse(text, "--fail-on") for text in options["fail_on"]]
    request = asked(dataset, options)
    check_names(gates, request.traits)
    summary = perform(request, progress_of(options))
    _report(request.out, summary, options["as_json"])
    if not options["no_report"]:
        write_beside(request.out, silent=options["as_json"])
    if gates:
        _check(gates, request.out)


def _check(gates: Sequence[Gate], out: Path) -> None:
    """Raises GateFailed where a gate fails on the run."""
    from screen.select.gates.evaluate import evaluate, raise_failed
    from screen.select.gates.figures import Figures
    from screen.store.scan import Scan

    raise_failed(evaluate(Figures(Scan.open(out)), gates), out)


def asked(dataset: tuple[str, ...], options: Mapping[str, Any]) -> ScanRequest:
    """What the command line asks for, checked as far as that goes without a model library."""
    return scan_request(dataset, scan_options(options))


def scan_options(options: Mapping[str, Any]) -> ScanOptions:
    """The settings of a command line, by the library's names."""
    given = {name: options[name] for name in get_type_hints(ScanOptions) if name in options}
    given |= {
        "layer": flags.layers(options["layer"]),
        "format": options["shape"],
        "map": flags.pairs("--map", options["fields"], "prompt=question"),
    }
    return cast(ScanOptions, given)


def progress_of(options: Mapping[str, Any]) -> PlainProgress:
    from screen.cli.progress import progress_on_stderr

    return progress_on_stderr(options["quiet"], options["verbose"])


def perform(request: ScanRequest, progress: PlainProgress) -> dict[str, Any]:
    """The run's summary.json."""
    from screen.cli.progress import stopping

    with stopping(progress, "what was scored is safe in", request.out):
        import_module("screen.scan.run")
        gc.freeze()  # or at the end the libraries are walked once more; not later, as duckdb complains of it
        path = request.perform(progress)
    from screen.store.scan import Scan

    return Scan.open(path).summary


def _report(out: Path, summary: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"run": str(out), **summary})
        return
    from screen_reports.console import Terminal
    from screen_reports.summary import print_summary

    from screen.store.scan import Scan

    print_summary(Terminal(), Scan.open(out), summary, out)
