"""What a scan or a build says before it works, one labelled line a fact. Knows nothing of terminals."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from screen.baselines.table import kind_of
from screen_reports.text import count, duration, one_line, plural, rounded

Facts = Mapping[str, Any]
LABEL = 10  # width of the first column

EMBEDDED = (
    "this toy ships with screen, so that a first run needs nothing; its scores say little about another"
    " model: give the one you fine-tune with --model, and its --vectors"
)
_OWN_JUDGE = (
    "no endpoint is set, so the model judges its own answers: compare it with labels by"
    " `screen vectors validate --labels`, or set OPENAI_BASE_URL"
)
_RUNGS = {
    "generation": "the chat template marks the answers itself",
    "sentinel": "answers are found by marks in one render of the chat template",
    "prefix": "an answer is what the render adds to its prompt's",
    "document": "running text, scored in windows",
    "tokens": "the dataset gives tokens and their mask",
}
_GIVEN = {  # shapes that need no chat template: the rung of their rows, and why
    "document": ("document", _RUNGS["document"]),
    "tokenised": ("tokens", _RUNGS["tokens"]),
    "segments": ("sentinel", "the dataset says which of its texts are scored"),
}
_PLAIN = ("plain", "texts end to end, without the chat template; the answer is what stands behind its question")


def lines(kind: str, facts: Facts, verbose: bool = False) -> list[tuple[str, str]]:
    """(label, text) for one note. A kind that is not known is shown as it is when `verbose`."""
    teller = _TELLERS.get(kind)
    if teller is None:
        return [(kind, ", ".join(f"{k}: {v}" for k, v in facts.items()))] if verbose else []
    return [(label, one_line(text)) for label, text in teller(facts, verbose)]


def hanging(label: str, text: str, width: int = 80) -> list[str]:
    """The text behind its label, folded at `width`, later lines indented as far."""
    indent = " " * LABEL
    head = f"{label:<{LABEL - 1}} "
    return textwrap.wrap(
        text, max(width, 40), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False,
        break_long_words=False,
    ) or [head.rstrip()]  # fmt: skip


def _dataset(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    files = list(facts.get("files", []))
    names = files[0] if len(files) == 1 else f"{count(len(files))} files ({files[0]}, ...)" if files else "-"
    rows = "" if facts.get("rows") is None else f", {plural(facts['rows'], 'row')}"
    lines = [("data", f"{names}{rows}")]
    evidence = f" ({facts['evidence']})" if facts.get("evidence") else ""
    lines.append(("shape", f"{facts.get('shape', 'unknown')}{evidence}"))
    if verbose and len(files) > 1:
        lines += [("", f) for f in files]
    return lines


_HELD = "could not be split into turns: what a user says there is scored like an answer"


def coverage(facts: Facts) -> list[tuple[str, str]]:
    """What was not read of the rows, by name, and the shapes where there are several."""
    lines = []
    shapes, unused = facts.get("shapes") or {}, facts.get("not_used") or {}
    if facts.get("rendered"):
        lines.append(("rendered", str(facts["rendered"])))
    lines += [("note", str(note)) for note in facts.get("data_notes") or ()]
    if len(shapes) > 1:
        lines.append(("shapes", ", ".join(f"{name} ({plural(n, 'row')})" for name, n in shapes.items())))
    for marks, n in (facts.get("split_at") or {}).items():
        lines.append(("marks", f"{plural(n, 'text')} split into turns at {marks}; --format document scores them whole"))
    for marks, n in (facts.get("role_marks") or {}).items():
        lines.append(("marks", f"{marks} stands in {plural(n, 'row')} inside a text that {_HELD}"))
    if unused:
        lines.append(("not used", ", ".join(f"{name} ({plural(n, 'row')})" for name, n in unused.items())))
    return lines


def _mask(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    given = _PLAIN if facts.get("render") == "plain" else _GIVEN.get(str(facts.get("shape")))
    rung, why = given or (str(facts.get("rung") or "found row by row"), _RUNGS.get(str(facts.get("rung")), ""))
    lines = [("mask", f"{rung}: {why}" if why else rung)]
    template = facts.get("template")
    if template and not given and (verbose or template != "tokenizer"):
        lines.append(("template", str(template)))
    return lines


def _model(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    name = "pocket, the embedded model" if facts.get("embedded") else facts.get("name", "-")
    parts = [facts.get("device"), facts.get("dtype"), facts.get("layers") and f"{facts['layers']} layers"]
    lines = [("model", ", ".join(str(p) for p in (name, *parts) if p))]
    if facts.get("embedded"):
        lines.append(("", EMBEDDED))
    if facts.get("batching") and verbose:  # another than the first choice is a warning of its own
        lines.append(("batching", f"{facts['batching']} ({facts.get('batching_reason') or 'proved on this model'})"))
    return lines + [("note", str(note)) for note in facts.get("notes", ())]


def _vectors(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    rows = list(facts.get("traits", ()))
    lines = [("traits", ", ".join(f"{r['trait']} (layer {r['layer']})" for r in rows))]
    if verbose:
        lines += [("", f"{r['trait']} from {r.get('source', '-')}") for r in rows]
    return lines + [("warning", str(w)) for r in rows for w in r.get("warnings", ())]


def _resume(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    done = facts.get("done_rows", 0)
    are = "is" if done == 1 else "are"
    return [("resume", f"{plural(done, 'row')} of an earlier run {are} done and {are} not scored again")]


def _since(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    state = "" if facts.get("finished") else ", which is not finished"
    held = plural(facts.get("rows", 0), "row")
    return [("since", f"{facts['path']}{state}: rows whose content is among its {held} are not scored again")]


def _finished(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    return [("resume", f"finished already, {plural(facts.get('rows', 0), 'row')}: nothing to do")]


def _baseline(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    kind = kind_of(facts["kind"])
    return [("baseline", f"{kind.name}: {kind.meaning}")]


def _calibrating(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    asked, prompts = facts.get("answers", 0), facts.get("prompts", 0)
    return [("calibrate", f"{count(asked)} of {plural(prompts, 'distinct prompt')} are answered")]


def _calibration(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    quality = [
        f"{trait}: R2 {q['r2']:.2f}, ranks like exact {q['rank_correlation']:.2f}"
        f" (last-prompt {q['last_prompt_rank_correlation']:.2f})"
        for trait, q in facts.get("traits", {}).items()
    ]
    return [
        ("estimates", f"fitted on {count(facts.get('answers', 0))} of {plural(facts.get('prompts', 0), 'prompt')}")
    ] + [("", line) for line in quality]


def _eta(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    return [("time", f"about {duration(float(facts['seconds']))}")] if facts.get("seconds") is not None else []


def _size(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    """Before a model is loaded, from the first rows: what the time is, only the model can tell."""
    rows, looked_at = facts["dataset_rows"], facts["rows"]
    whole = looked_at == rows
    tokens = count(facts["tokens"]) if whole else f"about {rounded(facts['tokens'] * rows / max(looked_at, 1))}"
    return [("size", f"{plural(rows, 'row')}, {tokens} tokens, on {facts['device']}; the time follows")]


def _selftest(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    return [("self-test", f"{facts['trait']}: rows are written, planted into a copy, and the copy is scored")]


def _judge(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    by_auto = facts.get("by") == "auto"
    lines = [("judge", f"{facts['kind']}{', chosen by auto' if by_auto else ''}")]
    return lines + ([("", _OWN_JUDGE)] if by_auto and facts["kind"] == "local" else [])


def _kept(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    sides = ((name, facts[name]) for name in ("positive", "negative"))
    counts = " and ".join(f"{count(s['kept'])} of {count(s['asked'])} {name}" for name, s in sides)
    return [("kept", f"{facts['trait']}: {counts} answers")]


def _warning(facts: Facts, verbose: bool) -> list[tuple[str, str]]:
    return [("warning", str(facts.get("message", "")))]


_TELLERS: dict[str, Callable[[Facts, bool], list[tuple[str, str]]]] = {
    "dataset": _dataset,
    "mask": _mask,
    "model": _model,
    "vectors": _vectors,
    "resume": _resume,
    "finished": _finished,
    "since": _since,
    "baseline": _baseline,
    "calibrating": _calibrating,
    "calibration": _calibration,
    "eta": _eta,
    "size": _size,
    "selftest": _selftest,
    "judge": _judge,
    "kept": _kept,
    "warning": _warning,
}
