"""What a careful person writes in thirty lines: sorted by length, padded, blocks that are not needed left out, two
projections a token. Prints a row's difference to its last prompt token a trait; stores, checks and explains nothing.

    python bench/expert.py ROWS.jsonl MODEL VECTORS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoTokenizer

BUDGET = 2048


def main(rows: str, folder: str, vectors: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    files = sorted(Path(vectors).glob("*.safetensors"))
    with safe_open(files[0], "pt") as file:
        layer = json.loads(file.metadata()["card"])["layer"]
    stacked = torch.stack([load_file(f)["direction"][layer] for f in files]).float()
    directions = stacked / stacked.norm(dim=1, keepdim=True)
    config = AutoConfig.from_pretrained(folder)
    config.num_hidden_layers = layer
    model: Any = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32).eval()
    model.norm = torch.nn.Identity()
    work = []
    for line in Path(rows).read_text().splitlines():
        messages = json.loads(line)["messages"]
        head = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
        prompt = len(tokenizer(head, add_special_tokens=False)["input_ids"])
        whole = tokenizer(head + messages[-1]["content"], add_special_tokens=False)["input_ids"]
        work.append((whole[: config.max_position_embeddings], prompt))
    order = sorted(range(len(work)), key=lambda i: len(work[i][0]))
    scores: dict[int, list[float]] = {}
    while order:
        width = len(work[order[-1]][0])
        batch, order = order[-max(1, BUDGET // width) :], order[: -max(1, BUDGET // width)]
        ids = torch.tensor([work[i][0] + [0] * (width - len(work[i][0])) for i in batch])
        with torch.inference_mode():
            projections = model(input_ids=ids, use_cache=False).last_hidden_state @ directions.T
        for i, of_row in zip(batch, projections, strict=True):
            tokens, prompt = work[i]
            scores[i] = (of_row[prompt : len(tokens)].mean(0) - of_row[prompt - 1]).tolist()
    for i in range(len(work)):
        print(json.dumps(scores[i]))


if __name__ == "__main__":
    main(*sys.argv[1:])
