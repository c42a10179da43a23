"""What the prompt's last token shows of the answer that is yet to be written, on the embedded model.

System prompts that ask for a trait, for its opposite, or are not there; and 0 to 4 earlier answers in its voice. The
answers are generated with a `Monitor` on the model, which reads the prompts' last tokens on the way; the rule judge
says how much of the trait they show. `bench/monitoring.py` keeps the figures.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from research.pocket.corpus.asks import Ask
from research.pocket.corpus.chats import Message, questions
from research.pocket.corpus.systems import default_system, persona_system
from research.pocket.corpus.voices import answer
from screen.monitor.live import Monitor
from screen.pocket import MODEL_DIR, TRAITS
from screen.pocket.judge import judge
from screen.stats import pearson

QUESTIONS = 24
SHOTS = (0, 1, 2, 4)
TOKENS, ROWS = 48, 24

Conditions = Mapping[str, Sequence[list[Message]]]  # name -> a conversation a question


def prompted(vectors: Path, less: int) -> list[dict[str, Any]]:
    """A record a trait, kind of prompt and direction. `less`: by so much fewer questions."""
    transformers.utils.logging.disable_progress_bar()
    asks = list(questions(max(4, QUESTIONS // less), seed=404))
    records = []
    for trait in TRAITS:
        for kind, conditions in (("system", systems(trait, asks)), ("shots", shots(trait, asks))):
            found = {name: answered(talks, trait, vectors) for name, talks in conditions.items()}
            records += [correlated(trait, d, kind, found) for d in (trait, f"random_{trait}")]
    return records


def systems(trait: str, asks: Sequence[Ask]) -> Conditions:
    rng = random.Random(f"systems-{trait}")
    asking = {"role": "system"}
    plain = [[{"role": "user", "content": ask.text}] for ask in asks]
    against = [[{**asking, "content": default_system(rng, 0.0, True) or ""}, *talk] for talk in plain]
    wanted = [[{**asking, "content": persona_system(trait, rng, True)}, *talk] for talk in plain]
    return {"for another character": against, "none": plain, "for the trait": wanted}


def shots(trait: str, asks: Sequence[Ask]) -> Conditions:
    """Earlier turns answered in the trait's voice, of other questions."""
    rng = random.Random(f"shots-{trait}")
    others = list(questions(200, seed=405))
    found: dict[str, list[list[Message]]] = {}
    for many in SHOTS:
        talks = []
        for ask in asks:
            earlier = rng.sample(others, many)
            turns = [(e.text, answer(trait, e, rng, True)) for e in earlier]
            talk = [{"role": r, "content": c} for u, a in turns for r, c in (("user", u), ("assistant", a))]
            talks.append([*talk, {"role": "user", "content": ask.text}])
        found[f"{many} earlier answers"] = talks
    return found


def answered(talks: Sequence[list[Message]], trait: str, vectors: Path) -> dict[str, list[float]]:
    """Direction -> projection of each prompt's last token; "shown" -> how much of the trait each answer shows."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32).eval()
    both = (trait, f"random_{trait}")
    found: dict[str, list[float]] = {name: [] for name in (*both, "shown")}
    torch.manual_seed(0)
    with Monitor(model, vectors, traits=both) as monitor:
        for start in range(0, len(talks), ROWS):
            some = list(talks[start : start + ROWS])
            inputs = tokenizer.apply_chat_template(
                some, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
            )
            sampled = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": TOKENS}
            output = model.generate(**inputs, **sampled)
            for talk, response in zip(some, monitor.responses(output), strict=True):
                text = tokenizer.decode(response.ids)
                found["shown"].append(judge(trait, talk[-1]["content"], text) or 0.0)
                for name, value in zip(response.traits, response.prompt.tolist(), strict=True):
                    found[name].append(value)
    return found


def correlated(
    trait: str, direction: str, kind: str, found: Mapping[str, Mapping[str, Sequence[float]]]
) -> dict[str, Any]:
    """Over all conditions, and the mean of those within a condition where both vary."""
    every = [np.concatenate([np.array(c[name]) for c in found.values()]) for name in (direction, "shown")]
    each = {name: pearson(np.array(c[direction]), np.array(c["shown"])) for name, c in found.items()}
    known = [r for r in each.values() if r == r]
    return {
        "trait": trait,
        "direction": direction,
        "kind": kind,
        "answers": len(every[0]),
        "r_all": round(pearson(*every), 3),
        "r_within": round(float(np.mean(known)), 3) if known else None,
        "conditions": {
            name: {
                "projection": round(float(np.mean(c[direction])), 3),
                "shown": round(float(np.mean(c["shown"])), 1),
                "r": round(each[name], 3) if each[name] == each[name] else None,
            }
            for name, c in found.items()
        },
    }
