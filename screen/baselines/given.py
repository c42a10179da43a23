"""Baseline responses that the user gave, generated elsewhere (`--baseline answers:FILE`; the file: answers_file.py)."""

from __future__ import annotations

from screen.baselines.kind import Baseline, Float32, ShardValues


class Given(Baseline):
    name = "answers"
    meaning = "the base model's answers that you gave"
    from_file = exact = chosen_by_auto = True
    like = "generate"

    def subtracted(self, shard: ShardValues) -> Float32:
        return shard.baseline

    def turn_trimmed(self, shard: ShardValues) -> Float32:
        return shard.trimmed - shard.own_trimmed
