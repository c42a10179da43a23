"""Drawings as a browser lays them out: labels apart from each other and inside, colours of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from screen_reports.drawings.bins import Bins
from screen_reports.drawings.calibration import calibration
from screen_reports.drawings.correlation import correlation_matrix
from screen_reports.drawings.cuts import Drop, cut_curve
from screen_reports.drawings.groups import MeanOfGroup, group_means
from screen_reports.drawings.histogram import histogram

LONG = "a group whose name goes on W W W W and on </text> \u202e and on"
QUANTILES = {"p01": -9.0, "p05": -1.0, "p25": 0.0, "p50": 1.0, "p75": 2.0, "p95": 4.0, "p99": 9.0}
OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll("svg")].flatMap((svg, at) =>
    [...svg.querySelectorAll("text")].map(t => ({at, text: t.textContent, box: t.getBoundingClientRect(),
                                                 all: svg.getBoundingClientRect()})));
  const bad = [];
  for (const [n, a] of boxes.entries()) {
    if (a.box.left < a.all.left - 1 || a.box.right > a.all.right + 1 || a.box.bottom > a.all.bottom + 1)
      bad.push(["outside", a.at, a.text]);
    for (const b of boxes.slice(n + 1))
      if (a.at === b.at && Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left) > 0.5
          && Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top) > 3)
        bad.push([a.at, a.text, b.text]);
  }
  return bad;
}"""


def drawings(scale: float, name: str) -> list[str]:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3 * scale, 400)
    bins = Bins.of(values)
    clean = Bins.of(rng.normal(0, scale, 400), bins.edges)
    points = [Drop(0.0, rows, (5 - rows / 100) * scale) for rows in (0, 1, 9, 88, 399)]
    groups = [MeanOfGroup(f"{at}{name}", 10**at, at * scale, (at - 1) * scale, (at + 1) * scale) for at in range(8)]
    return [
        histogram(name, bins, clean, cut=2 * scale, above=33, clean_name=name),
        histogram(name, bins, quantiles={q: v * scale for q, v in QUANTILES.items()}, cut=9e9 * scale),
        histogram(name, Bins.of([scale])),
        group_means(name, groups, overall=scale, clean=0.0),
        calibration(name, list(values), list(values * 0.9)),
        cut_curve(name, points, 400, clean=scale, flagged=points[2], suggested=points[3]),
        *(correlation_matrix(name, [f"{at}{name}" for at in range(n)], [[-0.99] * n] * n) for n in (1, 3, 9, 15)),
    ]


@pytest.mark.parametrize("scale", [1.0, 1e-7, 123_456.0, 1e12])
@pytest.mark.parametrize("name", ["evil", LONG])
def test_no_label_lies_on_another_or_outside(open_page: Callable[..., Any], scale: float, name: str) -> None:
    page = open_page()
    page.set_content(f"<style>svg{{width:100%;height:auto}}</style>{''.join(drawings(scale, name))}")
    assert page.evaluate(OVERLAPS) == []


def test_a_page_sets_the_colours_and_text_takes_its_own(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.set_content(f"<body style='color:#fff;--drawing-run:#123456'>{drawings(1.0, 'evil')[0]}")
    fill = "getComputedStyle(document.querySelector('svg {}')).fill"
    assert page.evaluate(fill.format("rect")) == "rgb(18, 52, 86)"
    assert page.evaluate(fill.format("text")) == "rgb(255, 255, 255)"
    page.evaluate("document.body.removeAttribute('style')")
    assert page.evaluate(fill.format("rect")) == "rgb(0, 114, 178)"
