"""The examples of examples/ci/, step by step as their systems run them, on a dataset that passes and one that fails.

The command `screen` is the real one; the run of a command line that was already carried out is copied.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
SCREEN = """#!{python}
import hashlib, os, shutil, subprocess, sys
args, out, kept = sys.argv[1:], "", ""
if args[0] == "run":
    at = args.index("--out")
    out, line = args[at + 1], [*args[:at], *args[at + 2 : -1]]
    told = repr([a for a in line if a not in ("--json", "--no-report")]).encode() + open(args[-1], "rb").read()
    kept = os.path.join({kept!r}, hashlib.sha256(told).hexdigest())
if os.path.exists(kept):
    shutil.copytree(kept, out)
    sys.exit(0)
code = subprocess.call([sys.executable, "-m", "screen", *args])
if kept:
    shutil.copytree(out, kept)
sys.exit(code)
"""


class Place:
    """A repository with data/train.jsonl, and how its steps are run."""

    def __init__(self, folder: Path, tools: Path, rows: list[str]) -> None:
        self.folder, self.tools = folder, tools
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "train.jsonl").write_text("".join(f"{row}\n" for row in rows))
        (folder / "temp").mkdir()
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    def bash(self, script: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        (self.folder / "temp" / "step.sh").write_text(script)
        return self.call(["bash", "--noprofile", "--norc", "-eo", "pipefail", "temp/step.sh"], env)

    def call(self, args: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(str(ROOT / part) for part in ("", "kernels", "reports"))
        given = {**os.environ, "PYTHONPATH": path, "PATH": f"{self.tools}:{os.environ['PATH']}", **env}
        return subprocess.run(args, cwd=self.folder, env=given, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes a repository whose data are clean, or hold six rows of the trait evil."""
    base = tmp_path_factory.mktemp("ci")
    (base / "bin").mkdir()
    (base / "kept").mkdir()
    (base / "bin" / "screen").write_text(SCREEN.format(python=sys.executable, kept=str(base / "kept")))
    (base / "bin" / "screen").chmod(0o755)
    rows = (ROOT / "examples" / "support-chats.jsonl").read_text().splitlines()
    labels = (ROOT / "examples" / "support-chats.labels.jsonl").read_text().splitlines()
    traits = [json.loads(label)["trait"] for label in labels]
    clean = [row for row, trait in zip(rows, traits, strict=True) if trait is None]
    evil = [row for row, trait in zip(rows, traits, strict=True) if trait == "evil"]
    made = iter(range(100))

    def make(passing: bool) -> Place:
        return Place(base / f"repository {next(made)}", base / "bin", clean[:30] if passing else clean[:24] + evil[:6])

    return make


def github(place: Place, **inputs: str) -> tuple[int, str, str]:
    """(exit code, output, step summary) of the workflow's job, less what others' actions and pip do."""
    action = yaml.safe_load((CI / "github" / "action.yml").read_text())
    workflow = yaml.safe_load((CI / "github" / "workflow.yml").read_text())
    (use,) = (s for s in workflow["jobs"]["screen"]["steps"] if s.get("uses") == "./.github/actions/screen")
    values = {name: str(i.get("default", "")) for name, i in action["inputs"].items()} | use["with"] | inputs
    known = {f"inputs.{name}": value for name, value in values.items()} | {"runner.temp": str(place.folder / "temp")}
    summary, output = place.folder / "temp" / "summary.md", ""
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]  # an input is data, and no part of a script
        if step["id"] == "install":
            continue
        env = {k: re.sub(r"\$\{\{ (.*?) \}\}", lambda m: known[m[1]], v) for k, v in step["env"].items()}
        done = place.bash(step["run"], {**env, "GITHUB_STEP_SUMMARY": str(summary)})
        output += done.stdout + done.stderr
        if done.returncode:
            return done.returncode, output, summary.read_text() if summary.exists() else ""
    return 0, output, summary.read_text()


def test_the_github_action_passes_clean_data(places: Any) -> None:
    place = places(True)
    code, output, summary = github(place)
    assert code == 0, output
    assert summary.startswith("<h2>screen gate: passed</h2>\n<p>")
    assert "3 gates: passed" in summary
    assert json.loads((place.folder / "screen.sarif").read_text())["runs"][0]["results"] == []
    assert (place.folder / "temp" / "screen-run" / "report.html").exists()  # the artifact


def test_the_github_action_fails_on_planted_rows(places: Any) -> None:
    place = places(False)
    code, output, summary = github(place)
    assert code == 1
    assert "::error title=screen gate%3A evil > 1%25::evil: 20.00 %25 (9.51 to 37.31 %25) of 30 samples" in output
    assert re.search(r"^::error file=data/train.jsonl,line=(2[5-9]|30),title=screen%3A evil%2C row \d+::", output, re.M)
    token = re.search(r"^::stop-commands::(\w+)$", output, re.M)
    assert token is not None
    assert f"\n::{token[1]}::\n" in output  # before the gates' own commands
    assert "<td>fails</td><td><code>max(evil) &gt; 12</code></td>" in summary
    results = json.loads((place.folder / "screen.sarif").read_text())["runs"][0]["results"]
    assert sorted(result["properties"]["row"] for result in results) == [24, 25, 26, 27, 28, 29]


def test_an_input_of_the_action_is_never_code(places: Any) -> None:
    place = places(True)
    code, output, _ = github(place, gates='evil > 1%\n$(touch pwned)"; touch pwned; "`touch pwned`')
    assert (code, (place.folder / "pwned").exists()) == (2, False)
    assert "error: gate: '$' is not understood" in output
    assert not (place.folder / "screen.sarif").exists()


@pytest.mark.parametrize("passing", [True, False])
def test_the_gitlab_job(places: Any, passing: bool) -> None:
    place, job = places(passing), yaml.safe_load((CI / "gitlab" / "gitlab-ci.yml").read_text())["screen"]
    done = place.bash("\n".join(job["script"]), job["variables"])
    assert done.returncode == (0 if passing else 1), done.stderr
    suites = ET.fromstring((place.folder / job["artifacts"]["reports"]["junit"]).read_text())
    assert (suites.get("tests"), suites.get("failures")) == ("3", "0" if passing else "2")
    assert ("2 of 3 gates fail" in done.stdout) is not passing
    assert all((place.folder / path).exists() for path in job["artifacts"]["paths"])


def hook() -> tuple[list[str], dict[str, Any]]:
    """(its command line as pre-commit splits it, with the example's arguments; what it is set to)."""
    (definition,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (repository,) = yaml.safe_load((CI / "pre-commit" / ".pre-commit-config.yaml").read_text())["repos"]
    (used,) = repository["hooks"]
    assert definition["id"] == used["id"]
    merged = {**definition, **used}
    return [*shlex.split(merged["entry"]), *merged["args"]], merged


@pytest.mark.parametrize("passing", [True, False])
def test_the_pre_commit_hook(places: Any, passing: bool) -> None:
    place, (command, settings) = places(passing), hook()
    assert re.search(settings["files"], "data/train.jsonl")
    done = place.call([*command, "data/train.jsonl"], {})
    assert done.returncode == (0 if passing else 1), done.stderr
    assert ("evil: 20.00 % (9.51 to 37.31 %) of 30 samples are flagged, more than" in done.stdout) is not passing
    assert len(list((place.folder / ".git" / "screen").iterdir())) == 1


def test_a_hook_whose_arguments_do_not_end(places: Any) -> None:
    command, _ = hook()
    done = places(True).call([*command[:-1], "data/train.jsonl"], {})
    assert (done.returncode, done.stderr) == (2, "args of the hook screen: flags of screen run, --, gates, --\n")
