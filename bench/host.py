"""Host work without a tokenizer or a model: read, render, plan, score, store. Prints rows/s and memory.

    python bench/host.py                    # 10,000 and 100,000 rows
    python bench/host.py 10000 1000000      # sizes of your own

The fake tokenizer makes a token of every four characters, the fake model projects a token to a constant a token id:
what is left is the host's own work. One process a size, one thread; rates are rows a second of its processor time. The
process in which templates run is told beside it, its start included.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHARD_ROWS = 2048
_WORDS = re.findall(r"\w+", "please tell me how to keep the small garden alive through a dry summer without much water")


class FakeEncoding:
    """A text as tokens of four characters."""

    __slots__ = ("_n", "ids")

    def __init__(self, text: str) -> None:
        self._n = len(text)
        self.ids = list(range(100, 100 + -(-len(text) // 4)))

    def __len__(self) -> int:
        return len(self.ids)

    def token_to_chars(self, i: int) -> tuple[int, int]:
        return 4 * i, min(4 * i + 4, self._n)

    def char_to_token(self, char: int) -> int | None:
        return char // 4 if 0 <= char < self._n else None


class FakeTokenizer:
    hf = None
    prefix_ids: tuple[int, ...] = ()
    special_ids: frozenset[int] = frozenset()
    special_strings = control_strings = frozenset({"<|im_start|>", "<|im_end|>"})
    template_variables: dict[str, Any] = {}  # noqa: RUF012 - stands in for an instance attribute

    def encode(self, texts: Sequence[str]) -> list[FakeEncoding]:
        return [FakeEncoding(t) for t in texts]

    def count(self, texts: Sequence[str]) -> int:
        return sum(-(-len(t) // 4) for t in texts)

    def decode(self, ids: Sequence[int]) -> str:
        return "x" * len(ids)


class FakeModel:
    """Plans batches as the real projector does, then gives every token the same projections."""

    def __init__(self, k: int) -> None:
        import numpy as np

        self._values = np.linspace(-1, 1, 4096 * k, dtype=np.float32).reshape(4096, k)
        self.planning = 0.0  # seconds

    def measure(self, items: Sequence[Any], step: Callable[[int, int], None] = lambda n, of: None) -> list[Any]:
        import numpy as np

        from screen.model.forward.items import Measured
        from screen.model.forward.plan import plan_shared

        began = time.process_time()
        plan_shared([item.ids for item in items], 8192)
        self.planning += time.process_time() - began
        none = np.zeros((8, 0), dtype=np.float32)
        return [Measured(self._values[item.positions % 4096], none[: len(item.segments)]) for item in items]


class Stages(dict[str, float]):
    """Seconds a stage."""

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self[name] = self.get(name, 0.0) + time.process_time() - began


def write_rows(path: Path, n: int) -> None:
    """Chats of about 300 fake tokens."""
    with path.open("w") as f:
        for i in range(n):
            ask = " ".join(_WORDS[(i + j) % len(_WORDS)] for j in range(60))
            answer = " ".join(_WORDS[(i * 7 + j) % len(_WORDS)] for j in range(120 + i % 80))
            messages = [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
            f.write(json.dumps({"id": i, "messages": messages}) + "\n")


def one_size(n: int) -> dict[str, Any]:
    import torch

    from screen.baselines.last_prompt import LastPrompt
    from screen.data.dataset import open_dataset
    from screen.data.sample import RawRow, Skip
    from screen.rendering.renderer import Renderer
    from screen.rendering.templates.chat_template import Template
    from screen.scoring.shard import ShardInput, score_shard
    from screen.store.folder import RunFolder

    torch.set_num_threads(1)
    chatml = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    gc.freeze()  # as a scan does, and the next line too
    gc.set_threshold(50_000, 20, 100)
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, n)
        size = path.stat().st_size
        tokenizer: Any = FakeTokenizer()
        renderer = Renderer(tokenizer, Template("fake", chatml, tokenizer), context=4096)
        model = FakeModel(3)
        traits = ("evil", "sycophancy", "hallucination")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        dataset = open_dataset([str(path)])
        with RunFolder.open(Path(folder) / "out", {"traits": list(traits)}) as run:
            windows = dataset.windows(SHARD_ROWS)
            while True:
                with stages.timed("read"):
                    window = next(windows, None)
                    if window is None:
                        break
                    samples = [s for e in window.entries if isinstance(e, RawRow) for s in dataset.samples(e)]
                with stages.timed("render"):
                    rendered = [r for r in renderer.render(samples) if not isinstance(r, Skip)]
                with stages.timed("score"):
                    shard = ShardInput(list(zip(samples, rendered, strict=True)))
                    tables = score_shard(shard, traits, model, None, LastPrompt())
                with stages.timed("store"):
                    run.publish(window.number, window.first_row, window.end_row, tables)
                del window, samples, rendered, shard, tables  # or two shards are held while the next is read
        seconds = time.process_time() - began
        stages["score"] -= model.planning
        stages["plan"] = model.planning
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": n,
        "mb": size / 1e6,
        "rows_per_s": n / seconds,
        "peak_mb": peak / 1024,
        "grown_mb": (peak - before) / 1024,
        "host_rows_per_s": n / (seconds - stages["score"]),
        "stages": {k: v / n * 1e6 for k, v in stages.items()},
        "process_s": time.process_time(),
    }


def _children() -> float:
    """Seconds of the processor that ended child processes took, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        print(json.dumps(one_size(int(sys.argv[2]))))
        return
    for n in [int(a) for a in sys.argv[1:]] or [10_000, 100_000]:
        before = _children()
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(n)], stdout=subprocess.PIPE, text=True, check=True
        )
        r = json.loads(done.stdout)
        templates = (_children() - before - r["process_s"]) / n * 1e6
        stages = ", ".join(f"{k} {v:.0f}" for k, v in r["stages"].items())
        print(
            f"{r['rows']:>9,} rows ({r['mb']:,.0f} MB): {r['host_rows_per_s']:>7,.0f} rows/s a core to read, render, "
            f"plan and store, {r['rows_per_s']:,.0f} with the scores' arithmetic (windows, tables); "
            f"peak {r['peak_mb']:,.0f} MB, {r['grown_mb']:,.0f} MB above the start; us a row: {stages}; "
            f"templates' own process {templates:.0f}"
        )


if __name__ == "__main__":
    main()
