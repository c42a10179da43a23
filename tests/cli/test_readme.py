"""The command lines of README.md and docs/tour.md, as they stand there, typed one after the other in one folder."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from screen.cli.main import run as run_screen

ROOT = Path(__file__).parents[2]
ROWS = 240  # row 231 is looked at
CHEAPER = {  # what is added to a line that would take long
    "estimate": "--baseline last-prompt --limit 40",
    "lift": "--limit 8 --traits evil",
    "selftest": "--limit 24 --traits evil --max-new-tokens 16",
    "check-numerics": "--rows 4",
    "run": "--max-new-tokens 16",
    "validate": "--by evil --arms top,bottom --seeds 1 --answers 1 --answer-tokens 8 --passes 0.1",
    "reference build": "--max-new-tokens 16",
}
REFUSED = {  # lines that need what is not here: how they end
    "run chats.jsonl --model": (4, "no model folder at ./qwen2.5-7b-instruct"),
    "browse": (2, "browse needs a terminal"),
    "gate chats.screen": (1, "chats.screen: 1 of "),
    "vectors build": (4, "no model folder at ./qwen2.5-7b-instruct"),
    "vectors import": (4, "no vector file at evil_response_avg_diff.pt"),
    "traits new": (2, "no endpoint: neither OPENAI_BASE_URL nor OPENAI_API_KEY is set"),
}


def command_lines(path: Path) -> list[str]:
    """Lines of shell blocks that begin with `screen`, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    parts = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    return [part for part in parts if part.startswith("screen ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The README's files: chats.jsonl with its run, and examples/; its own lines make the others."""
    made = tmp_path_factory.mktemp("readme")
    rows = (ROOT / "examples" / "support-chats.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (made / "examples").mkdir()
    (made / "examples" / "support-chats.jsonl").write_text("".join(rows[:40]), encoding="utf-8")
    (made / "chats.jsonl").write_text("".join(rows[:ROWS]), encoding="utf-8")
    (made / "chats-v2.jsonl").write_text("".join(rows[2 : ROWS + 2]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setenv("XDG_CACHE_HOME", str(made / "cache"))
        for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
            patch.delenv(name, raising=False)
        assert typed("screen run chats.jsonl --baseline last-prompt")[0] == 0
        yield made


def typed(line: str) -> tuple[int, str]:
    """The exit code of a line, and what it said on standard error."""
    words = shlex.split(line, comments=True)[1:]
    more = next((m for verb, m in CHEAPER.items() if words[: len(verb.split())] == verb.split()), "")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_screen([*words, *more.split()])
    return code, err.getvalue()


TRAINS = "screen validate "  # for minutes: tests/experiment/ runs it
PAGES = (ROOT / "README.md", ROOT / "docs" / "tour.md")
LINES = list(dict.fromkeys(line for page in PAGES for line in command_lines(page) if not line.startswith(TRAINS)))


def test_the_readme_has_its_lines() -> None:
    assert len(LINES) >= 18
    assert all(any(line.startswith(f"screen {begin}") for line in LINES) for begin in REFUSED)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_readme(line: str, folder: Path) -> None:
    code, said = typed(line)
    wanted = next((end for begin, end in REFUSED.items() if line.startswith(f"screen {begin}")), (0, ""))
    assert code == wanted[0], said
    assert wanted[1] in said
