"""Single changes of a room's code, one at a time: do the room's own tests notice?

    python -m bench.mutants ROOM [SAMPLE] [--seed 0] [--only PATTERN] [--json FILE]

Changes are cosmic-ray's, in a copy of the tree: a comparison turned, a sign, a constant by one, `not` left out or put
in, `and` for `or`, a loop that is not entered, an exception that is not caught. A draw takes places in the code, each
equally likely, and one change at each; annotations, decorators and `strict=` are left out. Each change has a process
of its own, forked from one that has the libraries loaded; it is noticed if a test fails, runs too long or takes too
much memory.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import fnmatch
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[1]
COPIED = ("screen", "tests", "kernels", "reports", "examples", "docs", "bench", "pyproject.toml", "README.md")
PAIRS = {  # what an operator becomes: turned or moved by its boundary, never what fails on every input
    "ReplaceComparisonOperator": "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot "
    "IsNot_Is",
    "ReplaceBinaryOperator": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul BitOr_BitAnd "
    "BitAnd_BitOr LShift_RShift RShift_LShift",
    "ReplaceUnaryOperator": "Delete_USub Delete_Not Delete_Invert",
}
ALONE = (
    "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue "
    "ReplaceContinueWithBreak ExceptionReplacer NumberReplacer ZeroIterationForLoop"
)
OPERATORS = [f"core/{kind}_{pair}" for kind, pairs in PAIRS.items() for pair in pairs.split()]
OPERATORS += [f"core/{name}" for name in ALONE.split()]
OPTIONS = ("-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")  # hypothesis is loaded
OURS = ("screen", "screen_kernels", "screen_reports", "tests", "bench", "conftest", "__main__", "__mp_main__")
MEMORY = 8 << 30  # bytes of address space: a loop that a change leaves without end is stopped there
NO_OPERATORS = ("parameters", "dictorsetmaker")  # where a `*` or `**` by itself is none: `def f(*, a)`, `{**a}`
TIMES = "times.json"  # in the copy: how long each test file took
Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    module: str
    line: int
    operator: str
    occurrence: int


def left_out(source: str) -> list[Span]:
    """Spans of annotations, decorators and `strict=`: a change there is no change of what the code does."""
    nodes: list[Any] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            nodes += [*node.decorator_list, getattr(node, "returns", None)]
        elif isinstance(node, ast.keyword) and node.arg == "strict":
            nodes.append(node.value)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if n is not None]


def mutants(root: Path, module: str) -> Iterator[tuple[Any, Mutant]]:
    """Every change of a module, each with its place: where it is and of what kind."""
    source = (root / module).read_text()
    spans, nodes = left_out(source), list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        operator, occurrence = get_operator(name)(), -1
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                occurrence += 1
                if not any(a <= start < b for a, b in spans) and _parent(node) not in NO_OPERATORS:
                    yield (start, name.split("_")[0]), Mutant(module, start[0], name, occurrence)


def _parent(node: Any) -> str:
    return str(getattr(node.parent, "type", ""))


def draw(root: Path, room: dict[str, Any], sample: int, seed: int, only: str) -> list[Mutant]:
    places: dict[Any, list[Mutant]] = {}
    for module in files(root, room["modules"], room.get("without", ())):
        if fnmatch.fnmatch(module, f"*{only}*"):
            for place, mutant in mutants(root, module):
                places.setdefault((module, place), []).append(mutant)
    rng = random.Random(seed)
    chosen = rng.sample(sorted(places), min(sample, len(places)))
    print(f"{len(chosen)} of {len(places)} places, seed {seed}", flush=True)
    return [rng.choice(places[place]) for place in chosen]


def files(root: Path, patterns: list[str], without: Any) -> list[str]:
    found = (str(path.relative_to(root)) for pattern in patterns for path in sorted(root.glob(pattern)))
    return [path for path in found if path not in without]


def named_in(root: Path, path: str) -> set[str]:
    """The project's modules that a module imports, anywhere in it, or names in a text, as files of the tree."""
    source = (root / path).read_text()
    names = set(re.findall(r"\b(?:screen|tests)(?:\.\w+)+", source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    paths = (name.replace(".", "/") for name in names)
    both = (either for path in paths for either in (path, path.rpartition("/")[0]))  # a module, or a name out of one
    return {end for either in both for end in (f"{either}.py", f"{either}/__init__.py") if (root / end).is_file()}


def reached(root: Path, path: str) -> set[str]:
    """All modules that a test file can reach, with those of the conftests above it."""
    above = (str(folder / "conftest.py") for folder in Path(path).parents)
    waiting = [path, *(conftest for conftest in above if (root / conftest).is_file())]
    found = set(waiting)
    while waiting:
        new = named_in(root, waiting.pop()) - found
        found |= new
        waiting += new
    return found


def tests_for(root: Path, room: dict[str, Any], module: str) -> list[str]:
    """The room's test files that can reach the module (all for no module): the quick ones first, and those that name
    it."""
    name = re.compile(rf"\b{Path(module).stem}\b")
    taken = json.loads((root / TIMES).read_text()) if (root / TIMES).exists() else {}
    every = files(root, room["tests"], room.get("without", ()))
    return sorted(
        (path for path in every if not module or module in reached(root, path)),
        key=lambda path: taken.get(path, 1.0) / (1 + len(name.findall((root / path).read_text()))) ** 2,
    )


class Times:
    """A plugin of pytest: seconds of each test file."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        path = report.nodeid.split("::")[0]
        self.taken[path] = self.taken.get(path, 0.0) + report.duration


def run_tests(copy: Path, log: Path, tests: list[str]) -> int:
    """In the forked process: pytest over the copy, a file at a time, so that none behind the first that fails is
    collected; what it prints into a file. Where all pass, what they took is left in TIMES."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    os.chdir(copy)
    sys.path[:0] = paths = [str(copy / part) for part in ("", "kernels", "reports")]
    os.environ.update(PYTHONPATH=os.pathsep.join(paths), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    import pytest

    times, options = Times(), ("-x", "-q", "--tb=line", *OPTIONS, f"--rootdir={copy}")
    code = next((code for test in tests if (code := int(pytest.main([test, *options], plugins=[times])))), 0)
    if code == 0:
        (copy / TIMES).write_text(json.dumps(times.taken))
    (copy / "loaded").write_text("\n".join(name for name in sys.modules if name.split(".")[0] not in OURS))
    return code


def passes(copy: Path, tests: list[str], limit: float) -> tuple[bool, str]:
    """Whether the tests pass in a forked process; what it printed last."""
    if not tests:
        return True, "no test reaches it"
    log = copy / "log"
    child = os.fork()
    if not child:
        try:
            os._exit(run_tests(copy, log, tests))
        finally:  # whatever it raised: the parent's clean-up is not the child's
            traceback.print_exc()
            os._exit(3)
    end = time.monotonic() + limit
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False, "ran too long"
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(done[1])
    text = log.read_text(errors="replace")
    if code in (3, 4, 5):  # pytest's own error, its usage, no tests
        raise SystemExit(text)
    return code == 0, (re.findall(r"^(?:FAILED|ERROR) \S+", text, re.M) or [f"exit {code}"])[-1]


def load(copy: Path) -> None:
    """Import here what the tests had loaded beside the project, so that no fork has to."""
    for name in (copy / "loaded").read_text().split("\n"):
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            importlib.import_module(name)


def measure(room: dict[str, Any], chosen: list[Mutant], copy: Path) -> list[dict[str, Any]]:
    start = time.monotonic()
    fine, last = passes(copy, tests_for(copy, room, ""), 1200)
    if not fine:
        raise SystemExit(f"the tests fail without any change: {last}\n{(copy / 'log').read_text()[-2000:]}")
    whole, found = time.monotonic() - start, []
    load(copy)
    for number, mutant in enumerate(chosen, 1):
        source = (copy / mutant.module).read_text()
        changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
        (copy / mutant.module).write_text(changed)
        start = time.monotonic()
        survived, by = passes(copy, tests_for(copy, room, mutant.module), 60 + 5 * whole)
        (copy / mutant.module).write_text(source)
        before, after = source.splitlines(), changed.splitlines()
        diff = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++")]
        found.append({**vars(mutant), "survived": survived, "by": by, "diff": diff})
        print(f"{number:4} {time.monotonic() - start:5.1f} s  {mutant.module}:{mutant.line}  ", end="")
        print("SURVIVED\n" + "\n".join(diff) if survived else f"noticed: {by}", flush=True)
    return found


def main() -> None:
    rooms = tomllib.loads((ROOT / "bench/mutants.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=rooms)
    parser.add_argument("sample", type=int, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="modules whose path holds this")
    parser.add_argument("--json", type=Path, help="every change and what became of it")
    options = parser.parse_args()
    room = rooms[options.room]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        for name in COPIED:
            path = ROOT / name
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy / name)
        chosen = draw(copy, room, options.sample, options.seed, options.only)
        found = measure(room, chosen, copy)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    survivors = [one for one in found if one["survived"]]
    for one in survivors:
        print(f"\nsurvived: {one['module']}:{one['line']}", *one["diff"], sep="\n")
    from screen.stats import wilson  # not before: forked processes load the changed package themselves

    noticed = len(found) - len(survivors)
    print(f"\n{options.room}: {noticed} of {len(found)} noticed ({noticed / len(found):.0%}, ", end="")
    print("95 % interval {:.0%} to {:.0%})".format(*wilson(noticed, len(found))))


if __name__ == "__main__":
    main()
