"""What was scanned and how: what was read and what was not, rows that could not be scored, settings, fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from screen.spec import ScanSpec
from screen_reports import notes, summary, verdicts
from screen_reports.html.embedded import dumped
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View
from screen_reports.page import place
from screen_reports.text import count

EXAMPLES = 3  # of each code
FILES = 20  # whose fingerprints are shown
HEAD = 400  # characters of a row that could not be scored
_DEFAULTS = {f.name: f.default for f in fields(ScanSpec)}


def values(view: View, answer: Answer) -> Values:
    codes: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(answer, key=lambda row: (-row["many"], row["code"], row["row"])):
        codes.setdefault(row["code"], []).append(row)
    heads: list[str] = []
    skipped = [_code(code, rows, heads) for code, rows in codes.items()]
    return {
        "data": dumped({"heads": heads}),
        "how": how(view),
        "remarks": _remarks(view) if view.finished else [],
        "finished": view.finished,
        "skipped": skipped,
        "settings": _settings(view.facts.get("spec") or {}),
        "fingerprints": _fingerprints(view.scan.folder.identity),
        "versions": ", ".join(f"{name} {version}" for name, version in (view.facts.get("versions") or {}).items()),
        "run": view.name,
    }


def how(view: View) -> list[Mapping[str, str]]:
    """The lines that a run begins with, as the terminal has them."""
    facts, rendering = view.facts, view.scan.folder.identity.get("rendering", {})
    dataset, vectors = facts.get("dataset") or {}, facts.get("vectors") or {}
    spec = facts.get("spec") or {}
    lines = notes.lines("dataset", dataset)
    lines += notes.lines("vectors", {"traits": [{"trait": t, **v} for t, v in vectors.items()]}) if vectors else []
    if rendering:
        known = {**rendering, "shape": dataset.get("shape"), "render": spec.get("render")}
        lines += notes.lines("mask", known, True)
    lines += notes.lines("model", facts["model"]) if facts.get("model") else []
    lines += notes.lines("baseline", {"kind": view.baseline.name})
    joined: list[tuple[str, list[str]]] = []
    for label, text in lines:
        if label or not joined:
            joined.append((label, []))
        joined[-1][1].append(text)
    return [{"label": label, "value": "; ".join(texts)} for label, texts in joined]


def _remarks(view: View) -> list[str]:
    """What to know of the figures, but for what stands beside the verdicts."""
    above = (verdicts.legend(view.summary), view.baseline.remark)
    return [line for line in summary.remarks(view.summary) if line not in above]


def _code(code: str, rows: list[Mapping[str, Any]], heads: list[str]) -> Mapping[str, object]:
    """Its rows' beginnings are appended to `heads`: the page shows them where they are asked for."""
    examples = []
    for row in rows:
        examples.append(
            {"row": count(row["row"]), "where": place(dict(row)), "message": row["message"], "at": len(heads)}
        )
        heads.append((row["head"] or "")[:HEAD])
    return {"code": code, "stage": rows[0]["stage"], "many": count(rows[0]["many"]), "examples": examples}


def _settings(spec: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """What was asked for in another way than by default."""
    return [
        {"label": name.replace("_", " "), "value": _said(value)}
        for name, value in spec.items()
        if value not in (None, "", [], {})
        and value != _DEFAULTS.get(name)
        and _said(value) != _said(_DEFAULTS.get(name))
    ]


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value[:FILES])) + (f" and {len(value) - FILES:,} more" if len(value) > FILES else "")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={inner}" for key, inner in value.items())
    return str(value)


def _fingerprints(identity: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Of what must be equal for a run to be gone on with: files of the dataset, model, tokenizer, template, vectors."""
    files = identity.get("dataset", {}).get("files", ())
    lines = [(f"file {at}", f"{count(f['bytes'])} bytes, {f['sha256']}") for at, f in enumerate(files[:FILES], 1)]
    lines += [("further files", count(len(files) - FILES))] if len(files) > FILES else []
    model = identity.get("model", {})
    lines += [(f"model {name}", str(model[name])) for name in ("weights", "config", "tokenizer") if model.get(name)]
    template = identity.get("rendering", {}).get("template_sha256")
    lines += [("chat template", str(template))] if template else []
    vectors = identity.get("vectors", {})
    lines += [(f"vector {trait}", str(v["sha256"])) for trait, v in vectors.items() if isinstance(v, Mapping)]
    return [{"label": label, "value": value} for label, value in lines]


SECTION = Section("scanned", "What was scanned, and how", values, parts=lambda _view: {
    "examples": str(EXAMPLES), "head": str(HEAD)})  # fmt: skip
