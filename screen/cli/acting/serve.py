"""`screen monitor serve`: an OpenAI-compatible pass-through that scores what passes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from screen.cli.exits import say
from screen.cli.output import print_json
from screen.cli.runs.flags import layers
from screen.errors import UsageError

if TYPE_CHECKING:
    from screen.monitor.serve.app import Proxy
    from screen.monitor.serve.settings import ServeSettings

_EPILOG = """\b
Clients set their base URL to this server's; nothing else changes for them.
What is passed on is kept in OUT/journal until it is scored, then deleted;
results are JSON lines in OUT/scores.jsonl, without the texts unless --text.
The proxy shows /metrics (Prometheus) and /healthz; every other path is the
upstream's. Killed and started again, it goes on where it stopped.

\b
Examples:
  screen monitor serve --upstream http://localhost:8000/v1 --model ./qwen \\
      --vectors vectors/ --reference clean.reference -o watched
  screen monitor serve --upstream https://api.example/v1 -o watched \\
      --by header:x-team --webhook https://hooks.example/alarm
"""


@click.command("serve", epilog=_EPILOG)
@click.option("--upstream", required=True, metavar="URL", help="The server to pass on to, such as .../v1.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the journal and the log.")
@click.option("--model", default="pocket", help="The upstream's model, to score with.  [default: the embedded model]")
@click.option("--vectors", multiple=True, metavar="PATH", help="Persona vectors: files or folders; repeatable.")
@click.option("--traits", metavar="A,B", help="Score these traits only.")
@click.option("--layer", multiple=True, metavar="TRAIT=N", help="Layer of a trait; repeatable.  [default: the card's]")
@click.option("--reference", metavar="FILE", help="Scores of clean data (--baseline last-prompt).  [the cards']")
@click.option("--template", metavar="FILE|plain", help="Chat template.  [default: the tokenizer's]")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", help="[default: auto]")
@click.option("--device", metavar="auto|cpu|cuda|mps", default="auto", help="[default: auto]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8010, show_default=True, help="0: any that is free.")
@click.option("--by", default="model", show_default=True, metavar="model|key|none|header:NAME",
              help="What to group messages by; key: a digest of it.")  # fmt: skip
@click.option("--webhook", metavar="URL", help="Send alarms there, as JSON.")
@click.option("--per", type=click.FloatRange(1.0), help="Clean scores a false alarm.  [default: 100,000]")
@click.option("--window", type=click.IntRange(1), help="Scores of the rolling mean.  [default: 50]")
@click.option("--most-waiting", type=click.IntRange(1), default=10_000, show_default=True,
              help="Exchanges that may wait for a score; more are dropped and counted.")  # fmt: skip
@click.option("--text", is_flag=True, help="Put prompts and answers into the log.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
def command(as_json: bool, **options: Any) -> None:
    """Pass requests on to an OpenAI-compatible server, byte for byte, and score the answers, off their path.

    Answers to chat/completions and completions are scored; all else is passed on only. Ends by SIGTERM or Ctrl-C.
    """
    settings = _settings(options)
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

        from screen.monitor.serve.app import Proxy
    except ImportError as error:
        raise UsageError(
            f"the proxy needs {error.name}, which is not installed", "pip install 'persona-screen[monitor]'"
        ) from None
    proxy = Proxy(settings, say)
    proxy.open()
    try:
        proxy.serve(lambda: _tell(proxy, as_json))
    finally:
        proxy.close()
    if not as_json:
        journal = proxy.journal
        say(f"stopped: {journal.acknowledged:,} exchanges kept, {journal.waiting:,} of all wait for the next start")


def _settings(options: dict[str, Any]) -> ServeSettings:
    from screen.library.devices import check_device, machine
    from screen.monitor.change import PER, WINDOW
    from screen.monitor.serve.journal import Bounds
    from screen.monitor.serve.settings import ScorerSettings, ServeSettings

    traits = tuple(name.strip() for name in (options["traits"] or "").split(",") if name.strip())
    own = layers(options["layer"])
    settings = ServeSettings(
        upstream=options["upstream"],
        out=options["out"],
        host=options["host"],
        port=options["port"],
        by=options["by"],
        webhook=options["webhook"],
        text=options["text"],
        per=options["per"] or PER,
        window=options["window"] or WINDOW,
        bounds=Bounds(messages=options["most_waiting"]),
    )
    settings.check()
    check_device(options["device"])
    scorer = ScorerSettings(
        model=options["model"],
        vectors=options["vectors"],
        traits=traits,
        layers=own or {},
        reference=options["reference"],
        dtype=options["dtype"],
        device=options["device"],
        template=options["template"],
        machine=machine,
    )
    return settings.with_scorer(scorer)


def _tell(proxy: Proxy, as_json: bool) -> None:
    settings = proxy.settings
    if as_json:
        print_json(proxy.describe())
        sys.stdout.flush()
        return
    say(
        f"listening on {proxy.url} for {settings.upstream}",
        f"scoring {', '.join(proxy.supervisor.facts['traits'])}; log {proxy.log}",
        "next: point clients at it: OPENAI_BASE_URL=" + proxy.url + "/v1",
    )
