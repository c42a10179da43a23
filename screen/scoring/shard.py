"""From rendered samples to the tables of a shard. Knows nothing of files, models or chat templates.

`score_shard` is a pure function of its entries and its collaborators: what runs token sequences, what answers prompts,
and the context fixed before the first shard. Scores are worked on as arrays of (turns, columns), a whole shard at a
time; the columns are the traits, then the controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from screen.baselines.estimates import calibration
from screen.baselines.estimates.estimator import BaselineEstimator, prompt_hashes
from screen.baselines.kind import Baseline, ResponseSource
from screen.baselines.response import BaselineResponse, GivenResponse
from screen.data.sample import Sample, Skip
from screen.model.forward.items import Branch
from screen.model.forward.projector import Step
from screen.rendering.rendered import Rendered
from screen.scoring import passes
from screen.scoring.concentration import extremes
from screen.scoring.context import ScoringContext
from screen.scoring.passes import Measures, Passed, TurnStates
from screen.scoring.scored import Scored
from screen.scoring.tables import controls_table, scores_table, skipped_table, turns_table
from screen.scoring.windows import highest_windows
from screen.spec import WINDOW_TOKENS

Float32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
REFINE_Z = 2.0  # standard errors: a row whose estimate may reach the threshold within these is answered


@dataclass(slots=True)
class ShardInput:
    """A shard's rows, read and rendered: samples that can be scored, and rows that cannot.

    given   (row, number of the scored turn) -> the user's answers for it; None where none were given
    groups  row -> the value of the --group-by field; a row that is not named stands under its file
    """

    samples: list[tuple[Sample, Rendered]] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    given: dict[tuple[int, int], list[GivenResponse]] | None = None
    groups: dict[int, str] = field(default_factory=dict)


Tables = dict[str, pa.Table]  # of one shard, by name


def score_shard(
    shard: ShardInput,
    traits: Sequence[str],
    measures: Measures,
    answers: ResponseSource | None,
    baseline: Baseline,
    step: Step = lambda _tokens, _of: None,
    context: ScoringContext | None = None,
) -> Tables:
    """The tables of one shard (screen.scoring.schema)."""
    context = context or ScoringContext()
    work = _Work(shard, traits, measures, answers, baseline, step, context)
    work.first_pass()
    scored = None if work.poison() else work.scored()  # which may ask for more answers
    if (bad := work.poison()) or scored is None:  # again without the rows that poison the model: rare, and exact
        rows = {skip.place.row for skip in bad}
        fine = [s for s in shard.samples if s[0].row not in rows]
        again = ShardInput(fine, [*shard.skips, *bad], shard.given, shard.groups)
        return score_shard(again, traits, measures, answers, baseline, step, context)
    return {
        "scores": scores_table(scored, traits, context, shard.groups),
        "turns": turns_table(scored, traits),
        "controls": controls_table(scored, context.directions),
        "skipped": skipped_table(sorted(shard.skips, key=lambda s: s.place.row)),
    }


class _Work:
    """One shard on its way from samples to arrays."""

    def __init__(
        self,
        shard: ShardInput,
        traits: Sequence[str],
        measures: Measures,
        answers: ResponseSource | None,
        kind: Baseline,
        step: Step,
        context: ScoringContext,
    ) -> None:
        self.shard, self.measures, self.answers, self.kind, self.step = shard, measures, answers, kind, step
        self.context, self.traits, self.k = context, traits, len(traits)
        self.columns = self.k + context.directions.controls
        self.sequences = [s for _, r in shard.samples for s in r.sequences]
        self.turns = list(_turns(shard.samples))
        prompts = [t.prompt for t in self.turns]
        self.hashes = prompt_hashes(prompts)
        self.keys = [p.tobytes() for p in prompts]
        self.own: dict[bytes, list[BaselineResponse]] = {}
        self.unanswered: dict[bytes, str] = {}  # prompt key -> why the model fails on it
        self.passed = Passed([], [], [], [])

    def first_pass(self) -> None:
        """Responses that are wanted from the start, then all sequences with them."""
        branches: dict[int, list[tuple[bytes, Branch]]] = {}
        self._answer(self.kind.answered_first(self.hashes, self.context.calibration))
        seen = set()
        for turn, key in zip(self.turns, self.keys, strict=True):
            # turns of one prompt share its response, which is run once, behind the first of them
            own = self.own.get(key)
            if own and key not in seen and (branch := own[0].branch(len(turn.prompt))):
                seen.add(key)
                branches.setdefault(turn.place, []).append((key, branch))
        self.passed = passes.run(self.sequences, branches, self.measures, self.step, self._first())
        if self.shard.given is not None:
            self._given(self.shard.given)

    def _first(self) -> int:
        """How many sequences share no batch with the others (`ScoringContext.drawn`)."""
        most, below = self.context.drawn
        return min(most, sum(len(r.sequences) for s, r in self.shard.samples if s.row < below))

    def _answer(self, turns: Sequence[int]) -> None:
        """Answer the prompts of these turns, each distinct one once."""
        wanted = {self.keys[i]: self.turns[i].prompt for i in turns if self.keys[i] not in self.own}
        if wanted and self.answers is not None:
            responses = self.answers.baseline_responses(list(wanted.values()))
            for key, answer in zip(wanted, responses, strict=True):
                if isinstance(answer, str):
                    self.unanswered[key] = answer
                elif answer is not None:
                    self.own[key] = [answer]

    def _given(self, given: Mapping[tuple[int, int], list[GivenResponse]]) -> None:
        """The user's answers: every turn has a key of its own, as they are given by row."""
        wanted = []
        for i, turn in enumerate(self.turns):
            row = self.shard.samples[turn.sample][0].row
            several = given.get((row, turn.number))
            self.keys[i] = f"{row} {turn.number} {turn.sample}".encode()
            if several:
                self.own[self.keys[i]] = [g.answer for g in several]
                wanted.append((self.keys[i], [(g.prompt, branch) for g in several if (branch := g.branch)]))
        passes.given(wanted, self.measures, self.step, self.passed)

    def poison(self) -> list[Skip]:
        """The rows on which the model fails, or on whose baseline response."""
        bad: dict[int, Skip] = {}
        for turn, key in zip(self.turns, self.keys, strict=True):
            sample = self.shard.samples[turn.sample][0]
            if turn.place in self.passed.problems:
                bad.setdefault(sample.row, Skip(sample.place, "score", *self.passed.problems[turn.place]))
            elif key in self.passed.own_problems:
                code, why = self.passed.own_problems[key]
                bad.setdefault(sample.row, Skip(sample.place, "score", code, f"its baseline: {why}"))
            elif key in self.unanswered:
                why = f"the model failed on its prompt alone: {self.unanswered[key]}"
                bad.setdefault(sample.row, Skip(sample.place, "score", "worker_failed", f"its baseline: {why}"))
        return list(bad.values())

    def scored(self) -> Scored:
        """Means, windows and baselines of all turns at once (METHOD section 2)."""
        lengths = np.array([len(t.scored.tokens) for t in self.turns], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = _stack(self.passed.tokens, self.k)
        controls = self.columns - self.k  # columns beyond these are features of prompts, for the estimate alone
        extra = len(self.context.directions.layers)
        means, last_means = (_stack(m, extra) for m in (self.passed.means, self.passed.last_means))
        projection = np.concatenate([passes.segments(tokens, offsets), means[:, :controls]], axis=1)
        last = np.concatenate([_stack(self.passed.last, self.k), last_means[:, :controls]], axis=1)
        starts = np.searchsorted([t.sample for t in self.turns], np.arange(len(self.shard.samples) + 1))
        estimate = se = np.full_like(projection, np.nan)
        if self.kind.calibrates and self.context.calibration is not None:
            estimate, se = self._predict(self.context.calibration, last, last_means)
            if self.context.refine:
                self._refine(self.context.calibration, projection - estimate, se, starts)
        baseline = np.full_like(projection, np.nan)
        own_trimmed, own_thought = (np.full_like(projection[:, : self.k], np.nan) for _ in range(2))
        for i, key in enumerate(self.keys):
            if key in self.passed.own:
                own = self.passed.own[key]
                baseline[i, : self.k], baseline[i, self.k :] = own.mean, own.extra[:controls]
                own_trimmed[i], own_thought[i] = own.trimmed, own.thought
        trimmed, highest = extremes(tokens, offsets)
        window, first = highest_windows(tokens, offsets, WINDOW_TOKENS)
        return Scored(
            samples=self.shard.samples,
            turns=[t.scored for t in self.turns],
            starts=starts,
            k=self.k,
            projection=projection,
            baseline=baseline,
            last=last,
            estimate=estimate,
            se=se,
            tokens=tokens,
            offsets=offsets,
            trimmed=trimmed,
            own_trimmed=own_trimmed,
            highest=highest,
            window=window,
            window_chars=[_window_chars(t, first[i]) for i, t in enumerate(self.turns)],
            thought=_stack(self.passed.thought, self.k),
            own_thought=own_thought,
            own=[self.own.get(key, []) for key in self.keys],
            hashes=self.hashes,
            kind=self.kind,
        )

    def _predict(self, estimator: BaselineEstimator, last: Float32, last_means: Float32) -> tuple[Float32, Float32]:
        """The calibrated baseline of every turn and its standard error, (turns, columns) each."""
        extra = last_means[:, self.context.directions.features]
        files = [self.shard.samples[t.sample][0].place.file for t in self.turns]
        # -1: a file that no prompt of the calibration came from
        source = np.array([estimator.sources.index(f) if f in estimator.sources else -1 for f in files], dtype=np.int64)
        prompt_tokens = np.array([len(t.prompt) for t in self.turns], dtype=np.int64)
        features = calibration.features(
            np.concatenate([last, extra], axis=1), prompt_tokens, source, len(estimator.sources)
        )
        return estimator.predict(features, self.hashes)

    def _refine(
        self, estimator: BaselineEstimator, difference: Float32, se: Float32, starts: npt.NDArray[np.intp]
    ) -> None:
        """Answer the prompts of samples whose estimate may lie beyond a threshold: no flag rests on a guess.

        Above it, and below the other one for samples that are trained away from."""
        if not len(self.turns):
            return
        high = np.array([estimator.thresholds.get(trait, np.inf) for trait in self.traits])
        low = np.array([estimator.thresholds_away.get(trait, -np.inf) for trait in self.traits])
        # a sample's estimate is the mean of its turns'; their errors are taken as independent
        counts = np.diff(starts)[:, None]
        mean = np.add.reduceat(difference[:, : self.k].astype(np.float64), starts[:-1], axis=0) / counts
        error = np.sqrt(np.add.reduceat(se[:, : self.k].astype(np.float64) ** 2, starts[:-1], axis=0)) / counts
        away = np.array([sample.sign < 0 for sample, _ in self.shard.samples])[:, None]
        beyond = (mean + REFINE_Z * error >= high) | (away & (mean - REFINE_Z * error <= low))
        unsure = np.flatnonzero(beyond.any(axis=1))
        turns = [i for s in unsure for i in range(starts[s], starts[s + 1])]
        self._answer(turns)
        wanted = {}
        for i in turns:
            own = self.own.get(self.keys[i])
            prompt = self.turns[i].prompt
            if own and self.keys[i] not in self.passed.own and (branch := own[0].branch(len(prompt))):
                wanted[self.keys[i]] = [(prompt, branch)]
        passes.given(list(wanted.items()), self.measures, self.step, self.passed)


def _turns(samples: Sequence[tuple[Sample, Rendered]]) -> Sequence[TurnStates]:
    turns, place = [], 0
    for i, (_, rendered) in enumerate(samples):
        for sequence in rendered.sequences:
            turns += [TurnStates(i, sequence, t, place) for t in range(len(sequence.turns))]
            place += 1
    return turns


def _stack(blocks: Sequence[Float32], width: int) -> Float32:
    return np.concatenate(blocks) if blocks else np.zeros((0, width), dtype=np.float32)


def _window_chars(turn: TurnStates, first: npt.NDArray[np.int64]) -> list[list[tuple[int, int]]]:
    """Character ranges, in the turn's text, of each trait's highest windows; traits often share one."""
    tokens = turn.scored.tokens
    places: dict[int, tuple[int, int]] = {}
    for start in set(first.ravel().tolist()) - {-1}:
        end = min(start + WINDOW_TOKENS, len(tokens)) - 1
        chars = turn.sequence.chars
        places[start] = (chars(int(tokens[start]), turn.number)[0], chars(int(tokens[end]), turn.number)[1])
    return [[places[start] for start in row if start >= 0] for row in first.tolist()]
