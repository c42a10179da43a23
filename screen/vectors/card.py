"""The card of a vector: what it was made of, by what, for which model, and how clean rows score (METHOD: vector files).

It is JSON in the metadata of the file. No field is sure to be there: a file of another tool knows little, and fields
that are not named here stay as they are. A card of somebody else's may hold anything, so what a run rests on (`layer`,
`model`, `reference`) is looked at where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

from screen.foreign import JsonObject
from screen.stats import ScoreSummary


class ModelLock(TypedDict, total=False):
    """The model that a vector belongs to; a run refuses another, by the field. Hashes are SHA-256 hex."""

    name: str
    revision: str
    n_layers: int
    d_model: int
    config_sha256: str
    weights_sha256: str
    tokenizer_sha256: str
    template_sha256: str
    dtype: str


class SamplingCard(TypedDict, total=False):
    """How the answers were made. `rollouts`, `held_out`: to each pair of system prompt and question."""

    temperature: float
    top_p: float
    max_new_tokens: int
    rollouts: int
    held_out: int
    seed: int
    answers_from: str


class KeptCard(TypedDict, total=False):
    """Answers a side: `asked` for, kept, and the least that would have done."""

    asked: int
    positive: int
    negative: int
    minimum: int


class SideCounts(TypedDict):
    """What became of each side's answers: counts by name (screen.building.rollouts.RolloutSide)."""

    positive: Mapping[str, int]
    negative: Mapping[str, int]


class StandardErrors(TypedDict):
    """By layer, clustered by question; None where there is none. `relative_norm`: a share of the direction's norm."""

    clustered_by: str
    projection: Sequence[float | None]
    relative_norm: Sequence[float | None]


class SplitHalf(TypedDict):
    """Cosine by layer of the directions from the two halves of the questions."""

    halves: str
    cosine: Sequence[float | None]


class SteeringPoint(TypedDict):
    """`coefficient` times the vector at `layer`: mean trait score and coherence, 0 to 100; the share that shows it."""

    layer: int
    coefficient: float
    score: float
    coherence: float
    shown: float
    error: float


class LayerChoice(TypedDict):
    """`by`: steering or separation."""

    by: str
    reason: str
    steering: Sequence[SteeringPoint]


class BasisFile(TypedDict):
    """Where the subspace that was taken out is kept, beside the vector."""

    file: str
    tensor: str
    sha256: str


class Denoising(TypedDict):
    """`components`, `norm_kept`: by layer."""

    variance: float
    neutral: str
    components: Sequence[int]
    norm_kept: Sequence[float | None]
    basis: BasisFile
    note: str


class ControlDistribution(TypedDict):
    """Clean rows' scores along m control directions: how many independent ones they amount to; m values a quantile."""

    rows: int
    effective: float
    quantiles: Mapping[str, Sequence[float]]


class ControlReference(TypedDict):
    """Of the control directions at `layer`, by baseline kind. `key`: their digest."""

    layer: int
    key: str
    kinds: Mapping[str, ControlDistribution]


class CleanDistributions(TypedDict):
    """Clean rows' scores: baseline kind -> layer -> distribution; and along the control directions."""

    kinds: Mapping[str, Mapping[str, ScoreSummary]]
    controls: ControlReference


class CleanReference(CleanDistributions, total=False):
    """What thresholds come from. `source`: which rows were taken for clean."""

    rows: int
    source: str
    judged: Mapping[str, int]


class ChanceCard(TypedDict):
    """AUROCs of n directions that know nothing, either sign."""

    mean: float
    p95: float
    n: int


class HeldOutCard(TypedDict):
    """Which answers a validation was made on."""

    questions: str
    read: str
    sides: SideCounts


class Validation(TypedDict, total=False):
    """Figures on held-out answers; lists are by layer. `failed`: the controls that are as good."""

    layer: int
    held_out: HeldOutCard
    auroc: Sequence[float | None]
    effect: Sequence[float | None]
    auroc_at_layer: float
    auroc_interval: Sequence[float]
    controls: Mapping[str, float | ChanceCard]
    steering: Sequence[SteeringPoint]
    cosine: Mapping[str, float]
    cross_auroc: Mapping[str, float]
    top_ten_share: Sequence[float | None]
    failed: Sequence[str]
    warnings: Sequence[str]
    forced: bool


class Origin(TypedDict, total=False):
    """Where an imported vector's numbers come from: the file, how it was read, who said what of it."""

    format: str
    file: str
    sha256: str
    convention: str
    convention_from: str
    rows: str
    dtype: str
    shape: Sequence[int]
    key: str
    says: Mapping[str, str | int | float | bool | None]
    sign: str
    sign_from: str
    stated: Mapping[str, str | int]
    not_stated: Sequence[str]
    dropped: Sequence[str]
    before: object


class VectorCard(TypedDict, total=False):
    """The whole card. `layer`: a hidden_states row; `sign`: always toward the trait."""

    format: str
    trait: str
    sha256: str  # of the directions' bytes
    seal: str  # of the whole file
    description: str
    layer: int
    coefficient: float | None
    sign: str
    pooling: str
    model: ModelLock
    prompts: Sequence[Sequence[str]]
    questions: Sequence[str]
    artefacts: JsonObject
    artefacts_sha256: str
    system_prompts: str
    sampling: SamplingCard
    judge: JsonObject
    judge_agreement: JsonObject
    batching: JsonObject
    thresholds: Mapping[str, float]
    versions: Mapping[str, str]
    kept: KeptCard
    sides: SideCounts
    standard_errors: StandardErrors
    split_half: SplitHalf
    denoise: Denoising
    layer_choice: LayerChoice
    separation: Sequence[float]
    steering: Sequence[SteeringPoint]
    validation: Validation
    reference: CleanReference | None
    warnings: Sequence[str]
    origin: Origin


def card_of(fields: Mapping[str, object]) -> VectorCard:
    """The fields as a card, whatever they hold: nothing is checked or left out."""
    return cast(VectorCard, dict(fields))
