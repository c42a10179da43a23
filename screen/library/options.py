"""The settings of a scan by the names of its flags: what `screen.scan(...)` takes, and `screen run` passes on.

What is None, or left out, is as the command line has it. Knows nothing of files or models.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from types import UnionType
from typing import Any, TypedDict, TypeVar, Union, get_args, get_origin, get_type_hints

from screen.errors import UsageError
from screen.progress import Progress

Path = str | os.PathLike[str]
F = TypeVar("F", bound=Callable[..., Any])


class ScanOptions(TypedDict, total=False):
    """Keyword arguments of `screen.scan`. Wherever the command line takes a text, that text is taken too."""

    model: Path | None  # a folder or a hub id; the embedded model
    vectors: Path | Sequence[Path] | None  # files or folders; the embedded model's own
    traits: str | Sequence[str] | None  # these only: ["evil"], or "evil,sycophancy"
    layer: Mapping[str, int] | None  # a trait's layer; the card's
    baseline: str | None  # auto, generate, calibrated, last-prompt, answers:FILE or none; auto
    answer_by: str | None  # model, or endpoint: who makes baseline responses; model
    refine: bool | None  # calibrated: answer exactly where a flag is open
    calibrate_on: int | None  # prompts that are answered; 512
    group_by: str | None  # a field: statistics for each of its values
    max_new_tokens: int | None  # of the baseline responses; 256
    generation_batch_size: int | None  # prompts answered at once; 16, on CUDA 64
    out: Path | None  # the run's folder; DATASET.screen beside it
    limit: int | str | None  # the first N rows; or "A-B", from 0, both included
    format: str | None  # the rows' shape, where it is not to be detected
    map: Mapping[str, str] | None  # which field is what: {"prompt": "question"}
    config: Path | None  # an axolotl, TRL or LLaMA-Factory file, instead of a map
    train_on: str | None  # assistant, last or all; assistant
    max_row_mib: int | None  # text a row may have; 8
    render: str | None  # chat or plain, of questions given as texts; chat
    template: Path | None  # a Jinja file, or "plain"; the tokenizer's
    end_of_turn: bool | None  # count the end-of-turn token as answer
    dtype: str | None  # auto, float32 or bfloat16; auto
    device: str | None  # auto, cpu, cuda, cuda:1 or mps; auto
    devices: str | None  # share the work: "0,1", "all", "cpu:4"
    in_process: bool  # run the model in this process, where a row that crashes it ends all
    batch_tokens: int | None  # tokens in one batch; 2048, on CUDA 16384
    shard_rows: int | None  # rows stored at once; 512
    max_errors: int | str | None  # rows that may be skipped: 20, "5%" or "none"; "10%"
    at: str | None  # flag above this percentile of the reference; p99
    fdr: float | None  # flag at this false-discovery rate against the reference
    reference: Path | None  # scores of clean data, from `screen reference build`
    spec: Path | None  # settings of an earlier run: its folder or scan.json
    since: Path | None  # a run: its settings, and its scores for rows whose content it has
    cache: Path | None  # where baseline responses are kept; the user's cache folder
    progress: Progress | None  # who is told what is found and how far it is; nobody


class BuildOptions(TypedDict, total=False):
    """Keyword arguments of `screen.build_vectors`: the flags of `screen vectors build`."""

    model: Path | None  # a folder or a hub id; the embedded model
    judge: str | None  # auto, rules, endpoint or local: who scores the answers; auto
    answers: str | None  # model, or endpoint: who makes them; model
    rollouts: int | None  # answers to each prompt; 10
    held_out: int | None  # the same, to validate with; 2
    max_new_tokens: int | None  # of an answer; 1000, or half the context
    temperature: float | None  # 1.0
    seed: int | None  # 0
    minimum: int | None  # kept answers a side; a tenth, from 10 to 50
    layer_by: str | None  # steering or separation; steering
    denoise: bool | None  # take out what varies most among the model's neutral answers
    template: Path | None  # a Jinja file, or "plain"; the tokenizer's
    dtype: str | None  # auto, float32 or bfloat16; auto
    device: str | None  # auto, cpu, cuda, cuda:1 or mps; auto
    out: Path | None  # the folder of the vectors, and of what goes on with a build; vectors/
    force: bool | None  # save a vector no better than its controls; replace another model's
    progress: Progress | None  # who is told what is found and how far it is; nobody


CHOICES = {
    "answer_by": ("model", "endpoint"),
    "train_on": ("assistant", "last", "all"),
    "render": ("chat", "plain"),
    "dtype": ("auto", "float32", "bfloat16"),
    "judge": ("auto", "rules", "endpoint", "local"),
    "answers": ("model", "endpoint"),
    "layer_by": ("steering", "separation"),
}
RANGES = {  # least, most
    "calibrate_on": (50, None),
    "max_new_tokens": (1, None),
    "generation_batch_size": (1, None),
    "max_row_mib": (1, 64),
    "batch_tokens": (64, None),
    "shard_rows": (1, None),
    "rollouts": (1, None),
    "held_out": (1, None),
    "minimum": (2, None),
}
SHARES = {"fdr": (0.0, 1.0), "temperature": (0.0, 5.0)}  # both left out


def keywords(options: type) -> Callable[[F], F]:
    """Shows the keys of a TypedDict as keyword arguments of a function that takes **options, to `help` and to a
    notebook's completion."""

    def shown(function: F) -> F:
        own = [p for p in signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        named = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=getattr(kind, "__forward_arg__", kind))
            for name, kind in options.__annotations__.items()
        ]
        function.__dict__["__signature__"] = Signature([*own, *named])
        return function

    return shown


def check_names(function: str, options: Mapping[str, Any], known: type = ScanOptions) -> None:
    """Raises TypeError for a keyword that is no setting, as Python does for a function that names its own."""
    for name in options:
        if name not in known.__annotations__:
            close = difflib.get_close_matches(name, known.__annotations__, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def check_types(options: Mapping[str, Any], known: type = ScanOptions) -> None:
    """Raises UsageError for a value of a type that its setting has not; what is inside a list or a mapping as well."""
    for name, kind in get_type_hints(known).items():
        value = options.get(name)
        if value is not None and kind != Progress | None and not _fits(value, kind):
            wanted = known.__annotations__[name].__forward_arg__.removesuffix(" | None").replace("Path", "path")
            raise UsageError(f"{flag(name)} {value!a}: no such value", f"give {wanted}")


def _fits(value: Any, kind: Any) -> bool:
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if get_origin(kind) is Sequence:
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if get_origin(kind) is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, get_origin(kind) or kind) and (kind is bool or not isinstance(value, bool))


def check_values(options: Mapping[str, Any]) -> None:
    """Raises UsageError for a value that is not among those a flag takes."""
    for name, choices in CHOICES.items():
        if options.get(name) not in (None, *choices):
            raise UsageError(f"{flag(name)} {options[name]!a}: no such choice", f"choose one of {', '.join(choices)}")
    for name, (least, most) in RANGES.items():
        value = options.get(name)
        if value is not None and not (value >= least and (most is None or value <= most)):
            bounds = f"from {least} to {most}" if most else f"of {least} or more"
            raise UsageError(f"{flag(name)} {value!a} is out of range", f"give a whole number {bounds}")
    for name, (low, high) in SHARES.items():
        value = options.get(name)
        if value is not None and not low < value < high:
            raise UsageError(f"{flag(name)} {value!a} is out of range", f"give a number between {low:g} and {high:g}")


def flag(name: str) -> str:
    """A setting as the command line writes it."""
    return f"--{name.replace('_', '-')}"
