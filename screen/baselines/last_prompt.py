"""A proxy baseline that costs nothing: the projection of the prompt's last token (METHOD section 2)."""

from __future__ import annotations

from screen.baselines.kind import Baseline, Float32, ShardValues


class LastPrompt(Baseline):
    name = "last-prompt"
    meaning = "a proxy baseline, the prompt's last token: cheaper than baseline responses, ranks less well"
    remark = "scores subtract the last prompt token's projection: a proxy baseline, which ranks less well"

    def column(self, trait: str, refined: bool = False) -> str:
        return f"{trait}_last_prompt"

    def subtracted(self, shard: ShardValues) -> Float32:
        return shard.last
