"""The house keeps its shape."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Container
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_kernels_and_reports_are_folders_not_packages() -> None:
    """A top-level importable `kernels` breaks model loading: transformers probes that name."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "reports" / "__init__.py").exists()


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_screen_needs_no_model_library() -> None:
    assert not {"torch", "transformers", "polars", "duckdb"} & imported_by("import screen")


def test_the_http_client_is_loaded_by_the_first_request() -> None:
    assert "httpx2" not in imported_by("import screen, screen.cli.main, screen.endpoint.client")


def test_what_runs_a_model_imports_without_polars_and_duckdb() -> None:
    modules = imported_by("import screen.scan.run, screen.training")
    assert "torch" in modules
    assert not {"polars", "duckdb"} & modules


def test_the_wheel_holds_no_training_recipe() -> None:
    """Who installs the package gets weights, vectors and a judge; corpus and training are research/, in the sdist."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = wheel.pop("packages")
    assert packages == ["screen", "kernels/screen_kernels", "reports/screen_reports"]
    assert not wheel  # nothing is put in from elsewhere
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    trains = re.compile(r"torch\.optim|\.backward\(|import research|from research")
    assert not [str(path) for path in sources if trains.search(path.read_text(encoding="utf-8"))]
    shipped = {path.name for path in (ROOT / "screen" / "pocket").iterdir()} - {"__pycache__"}
    assert shipped == {"__init__.py", "judge.py", "words.json", "model", "vectors"}


def sources(*roots: str) -> dict[str, ast.Module]:
    """Each module of ours by its path, parsed."""
    paths = [path for root in roots or ("screen", "reports") for path in sorted((ROOT / root).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


OF_DISK = {"replace", "rename", "renames", "link", "fsync", "fdatasync", "O_EXCL", "O_APPEND"}


def writes_by_itself(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(name.name == "tempfile" for name in names)
        case ast.ImportFrom(module=module):
            return module == "tempfile"
        case ast.Attribute(value=ast.Name("os"), attr=name):
            return name in OF_DISK
        case ast.Call(func=ast.Attribute(attr="rename" | "replace" | "hardlink_to"), args=[_], keywords=[]):
            return True  # of a Path: str.replace has two arguments, dataclasses.replace has keywords
        case ast.Call(func=ast.Name("open") | ast.Attribute(attr="open" | "fdopen"), args=arguments):
            modes = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            return any(re.fullmatch("[xa]b?", mode) for mode in modes)
    return False


def test_only_disk_renames_syncs_appends_and_makes_temporary_files() -> None:
    """Each such step can fail or be lost in a power cut; one place does them, and one set of faults tests it."""
    found = [f"{path}:{n.lineno}" for path, tree in sources().items() for n in ast.walk(tree) if writes_by_itself(n)]
    assert {place.split(":")[0] for place in found} == {"screen/disk.py"}, (
        f"call what screen/disk.py has (write_atomically, new_file, append_durably, spooled, scratch_folder): {found}"
    )


def test_a_constant_of_statistics_stands_once() -> None:
    """Two copies drift apart: a rank, a robust z or an interval is computed in screen/stats.py alone, on NumPy."""
    numbers = [
        (node.value, path)
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in (1.349, 1.4826, 1.959963984540054)
    ]
    here = "screen/stats.py"
    assert sorted(numbers) == [(1.349, here), (1.4826, here), (1.959963984540054, here)], f"take them from {here}"
    assert "torch" not in imported_by("import screen.stats")


def imports(name: str, tree: ast.Module, known: Container[str]) -> set[str]:
    """Modules of ours that a module imports, in functions too; for the type checker alone is left out."""
    unseen = {
        id(inside)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inside in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if module in known else node.module for module in whole.values()}
    return {module for module in found if module in known} - {name}


def test_no_import_cycle_not_even_through_a_function() -> None:
    """Modules in a cycle are one module in many files: none can be read, tested or moved alone."""
    trees = {re.sub(r"^reports/|/__init__\.py$|\.py$", "", path).replace("/", "."): t for path, t in sources().items()}
    left = {name: imports(name, tree, trees) for name, tree in trees.items()}
    while free := {name for name, wanted in left.items() if not wanted & set(left)}:
        left = {name: wanted for name, wanted in left.items() if name not in free}
    while free := set(left) - set().union(*left.values()):  # what only leads to it
        left = {name: wanted & set(left) - free for name, wanted in left.items() if name not in free}
    assert not left, f"a cycle: {left}; move what both need to a module below them"


def test_a_folder_is_read_at_a_glance() -> None:
    """At most 14 modules, and a family of `prefix_*.py` is a folder of its own that has not been made."""
    folders: dict[str, list[str]] = {}
    for path in sources():
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).extend([name.removesuffix(".py")] if name != "__init__.py" else [])
    crowded = {folder: len(names) for folder, names in folders.items() if len(names) > 14}
    assert not crowded, f"split them by what they are about: {crowded}"
    families = Counter((folder, name.split("_")[0]) for folder, names in folders.items() for name in names)
    assert not [family for family, count in families.items() if count > 2], "give the family a folder"


def test_a_public_class_name_is_defined_once() -> None:
    """Two classes of one name are taken for each other, by readers and by searches."""
    classes: dict[str, list[str]] = {}
    for path, tree in sources().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(path)
    twice = {name: paths for name, paths in classes.items() if len(paths) > 1}
    assert not twice, f"name each for what it is: {twice}"


def test_any_is_rare() -> None:
    """What `Any` touches no check sees. It is for JSON before it is looked at (`JsonObject` of screen/foreign.py) and
    for what a library leaves untyped; a record of ours has a type of its own, what is only passed on is `object`."""
    names = [(path, node) for path, tree in sources("screen").items() for node in ast.walk(tree)]
    several = Counter(path for path, node in names if isinstance(node, ast.Name) and node.id == "Any")
    lines = sum(len((ROOT / path).read_text().splitlines()) for path in sources("screen"))
    assert 1000 * several.total() < 7 * lines, f"name the type; most stand in {several.most_common(5)}"


def test_every_code_of_a_skip_is_documented() -> None:
    raised = re.compile(r'(?:BadRow|Refused)\(\s*"([a-z0-9_]+)"|Skip\([^()]*, "[a-z]+", "([a-z0-9_]+)"')
    texts = [path.read_text() for room in ("data", "rendering") for path in (ROOT / "screen" / room).rglob("*.py")]
    emitted = {code for text in texts for pair in raised.findall(text) for code in pair if code}
    documented = set(re.findall(r"^\| `([a-z0-9_]+)` \|", (ROOT / "docs" / "codes.md").read_text(), re.MULTILINE))
    assert {"bad_text", "line_too_long", "bad_json"} <= emitted
    assert emitted <= documented


def test_the_lock_has_the_versions_of_the_constraints_with_hashes() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.split()[0].lower().replace("_", "-") for line in lines if re.match(r"[A-Za-z]", line)}

    assert pins("requirements.lock") == pins("constraints.txt"), "run: just lock"
    entries = re.split(r"\n(?=[A-Za-z])", (ROOT / "requirements.lock").read_text())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_kinds_of_baseline_are_named_in_their_own_room() -> None:
    kinds = {"generate", "calibrated", "last-prompt", "contrast"}  # "none" and "answers" are words of other things too
    named = [
        f"{path}:{node.lineno}"
        for path, tree in sources().items()
        if not path.startswith("screen/baselines/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in kinds
    ]
    assert not named, f"what depends on the kind of baseline is asked of it (screen/baselines/kind.py): {named}"


def test_a_spec_becomes_a_dataset_in_one_place() -> None:
    opens = [
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open_dataset"
    ]
    allowed = {"screen/data/from_spec.py", "screen/cli/runs/inspect.py"}  # inspect has flags and no spec
    assert set(opens) == allowed, f"a copy forgets a field, as config once: call dataset_of instead: {opens}"


def test_a_scan_completes_nobody_elses_object() -> None:
    assigned = [
        f"{path}:{node.lineno}"
        for path, tree in sources("screen/scan").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr != "__class__"
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert not assigned, f"values are made whole by one function, and not changed by another: {assigned}"
