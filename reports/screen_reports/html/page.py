"""The page around the sections: templates, style, script, and the policy that lets nothing else in.

Every text that a template prints is escaped and shows as itself (`visible`), whoever wrote the template.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from screen_reports import text
from screen_reports.html.embedded import embedded
from screen_reports.html.heading import heading
from screen_reports.html.section import Section, Values
from screen_reports.html.view import View
from screen_reports.ranking import percentile

BASE = Path(__file__).parent / "base"
DATA = "data"  # of a section's values: JSON (`embedded.dumped`) that its part of the script reads
_NAME = 160  # characters of a name that the data gives


def laid_out(view: View, sections: Sequence[tuple[Section, Values]]) -> str:
    """The whole page, in one string. Makes no request: its policy allows none."""
    style, script = (BASE / "style.css").read_text("utf-8"), (BASE / "script.js").read_text("utf-8")
    data = {section.name: str(values[DATA]) for section, values in sections if DATA in values}
    parts = [{"name": s.name, "title": s.title, "html": Markup(_filled(s, values))} for s, values in sections]
    page = _environment(BASE).get_template("page.html")
    return page.render(
        **heading(view),
        sections=parts,
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        data=embedded(data),
        raw=Markup,
    )


def policy(style: str, script: str) -> str:
    """The page's Content-Security-Policy: this style sheet, this script, and nothing from anywhere."""
    allowed = {"style-src": style, "script-src": script}
    kinds = "; ".join(f"{kind} 'sha256-{_digest(content)}'" for kind, content in allowed.items())
    return f"default-src 'none'; {kinds}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _filled(section: Section, values: Values) -> str:
    return _environment(section.folder).get_template(f"{section.name}.html").render(**values)


def _environment(folder: Path) -> Environment:
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder), FileSystemLoader(BASE)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        count=text.count, plural=text.plural, share=text.share, score=text.score, percentile=percentile, name=_short
    )
    return made


def _shown(value: object) -> object:
    """Hidden characters written out; markup that we made ourselves stays."""
    return text.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _short(value: object) -> str:
    """A name that the data gives, on one line and not longer than a heading may be."""
    line = text.one_line(str(value)[: 4 * _NAME])
    return line if len(line) <= _NAME else line[:_NAME] + "\u2026"
