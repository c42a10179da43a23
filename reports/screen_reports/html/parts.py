"""What sections put into their templates: drawings, and lists of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup


def svg(drawing: str) -> Markup:
    """A drawing of screen_reports/drawings/, which escapes what it is given."""
    return Markup(drawing)


def facts(pairs: Sequence[tuple[str, object]]) -> list[Mapping[str, object]]:
    """(label, value) pairs for a list of facts in a template; those without a value left out."""
    return [{"label": label, "value": value} for label, value in pairs if value not in (None, "")]
