"""`screen browse`: what it says where it cannot open; the viewer itself is tests/reports/test_browse.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Screen


def test_without_a_terminal_another_way_is_told(screen: Screen, run: Path) -> None:
    assert screen("browse", "chats.screen") == (
        2, "", "error: browse needs a terminal\n"
        "next: list rows with `screen rank RUN`, read one with `screen show RUN ROW`\n",
    )  # fmt: skip


def test_without_textual_the_extra_is_told(run: Path) -> None:
    code = "import sys; sys.modules['textual'] = None; from screen.cli.main import run; sys.exit(run(sys.argv[1:]))"
    said = subprocess.run([sys.executable, "-c", code, "browse", str(run)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (
        2, "error: the viewer needs Textual, which is not installed\nnext: pip install 'persona-screen[browse]'\n",
    )  # fmt: skip


def test_a_trait_that_is_not_there(screen: Screen, run: Path) -> None:
    assert screen("browse", "chats.screen", "--by", "evli").err.startswith("error: the run has no trait 'evli'\n")


def test_no_other_verb_loads_textual() -> None:
    code = "import sys, screen.cli.decision.browse, screen_reports.browse.listing; print('textual' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
