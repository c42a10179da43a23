"""The tutorial runs top to bottom, and every function of the front door shows an example that holds.

Both on the first 40 rows of the example set. The cells are executed by the runner below, as a kernel would: one
namespace, and what the last line of a cell comes to is shown.
"""

from __future__ import annotations

import ast
import doctest
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import screen
from screen.library.run import Run

ROOT = Path(__file__).parents[2]
TUTORIAL = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]
FUNCTIONS = {name: getattr(screen, name) for name in screen.__all__ if name not in ("Run", "errors")}
PARTS = [part for part in Run.__mro__ if part is not object]
METHODS = {f"Run.{n}": m for part in PARTS for n, m in vars(part).items() if not n.startswith("_")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """docs/ beside examples/, as in the repository."""
    made = tmp_path_factory.mktemp("tutorial")
    rows = (ROOT / "examples" / "support-chats.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (made / "examples").mkdir()
    (made / "examples" / "support-chats.jsonl").write_text("".join(rows[:40]), encoding="utf-8")
    (made / "docs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made / "docs")
        patch.setenv("XDG_CACHE_HOME", str(made / "cache"))
        yield made / "docs"


@pytest.fixture(autouse=True)
def shared_cache(folder: Path, own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all of them: the same prompts are answered once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))


def execute(cell: str, names: dict[str, Any]) -> str:
    """Run a cell; what a notebook would show of its last line."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return ""
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return str(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))


def test_the_tutorial_runs_top_to_bottom(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    shown = [execute(cell, names) for cell in CODE]
    assert shown[0].startswith("<p>support-chats.screen, 40 rows: 40 scored, 0 skipped</p>")
    assert "'review'" in shown[1]
    assert (folder / "clean.jsonl").stat().st_size + (folder / "dropped.jsonl").stat().st_size == (
        folder.parent / "examples" / "support-chats.jsonl"
    ).stat().st_size
    assert capsys.readouterr().out.startswith("nowhere.jsonl: no such file")


def test_the_tutorial_is_stored_without_outputs() -> None:
    assert TUTORIAL["nbformat"] == 4
    assert len({cell["id"] for cell in TUTORIAL["cells"]}) == len(TUTORIAL["cells"])
    cells = [cell for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in cells)


@pytest.fixture
def run(folder: Path) -> Run:
    """Made by the tutorial, or here."""
    place = folder.parent / "examples" / "support-chats.screen"
    return screen.open(place) if place.is_dir() else screen.scan(place.with_suffix(".jsonl"))


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_the_example_of_each_function_holds(name: str, run: Run, tmp_path: Path) -> None:
    told = {**FUNCTIONS, **METHODS}[name]
    text = inspect.getdoc(getattr(told, "func", told)) or ""  # of a cached property its function
    names = {"screen": screen, "run": run, "folder": tmp_path}
    example = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    assert example.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
