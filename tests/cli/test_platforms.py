"""The command starts, reads and runs where Unix's own modules are missing, as on Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fake_run import write_chats, write_run

HIDDEN = """
import builtins, os, signal, sys
real = builtins.__import__
def without(name, names=None, *more, **named):
    ours = EVERYWHERE or str((names or {}).get("__name__")).startswith("screen")
    if name in ("fcntl", "resource") and ours:
        raise ImportError(name)
    return real(name, names, *more, **named)
builtins.__import__ = without
for module, names in (os, ("O_DIRECTORY", "O_PATH", "geteuid")), (signal, ("SIGXCPU", "setitimer")):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""
PARENT = """
import screen.rendering.templates.sandbox, screen.store.sql.sandbox, screen.vectors.formats.sandbox
for place in (screen.rendering.templates.sandbox, screen.store.sql.sandbox, screen.vectors.formats.sandbox):
    place._START = hidden + place._START
"""
NOTE = "note: this system cannot limit the memory of the processes that read untrusted files; a clock ends them\n"


def without_unix(*args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command with the modules hidden, in its child processes too."""
    children = PARENT if args[0] in ("run", "sql") else ""
    hidden = HIDDEN.replace("EVERYWHERE", str(args[0] != "run"))  # on Linux, torch itself asks for them
    code = f"hidden = {hidden!r}\nexec(hidden){children}\nsys.argv = {['screen', *args]!r}\n"
    code += "if __name__ == '__main__':\n    from screen.__main__ import main\n    main()\n"
    (folder / "without.py").write_text(code)
    return subprocess.run([sys.executable, "without.py"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("args", [
    ("inspect", "chats.jsonl"), ("status", "chats.screen"), ("rank", "chats.screen", "--by", "evil"),
    ("show", "chats.screen", "1"), ("filter", "chats.screen", "--keep", "row < 3", "-o", "kept.jsonl"),
    ("sql", "chats.screen", "select count(*) from scores"),
])  # fmt: skip
def test_reading_verbs_need_no_unix(tmp_path: Path, args: tuple[str, ...]) -> None:
    write_run(write_chats(tmp_path / "chats.jsonl"))
    done = without_unix(*args, folder=tmp_path)
    assert (done.returncode, done.stderr.count(NOTE)) == (0, 1), done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_needs_no_unix(tmp_path: Path, tiny_model: Path, tiny_vectors: Path) -> None:
    write_chats(tmp_path / "chats.jsonl")
    args = ["--model", str(tiny_model), "--vectors", str(tiny_vectors), "--baseline", "last-prompt", "--device", "cpu",
            "--max-errors", "none"]  # fmt: skip
    done = without_unix("run", "chats.jsonl", *args, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert NOTE in done.stderr
    assert "chat templates run without limits of memory, processor time, files" in done.stderr
    again = without_unix("run", "chats.jsonl", *args, folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert not (tmp_path / "chats.screen" / "writer.lock").exists()


def test_a_system_with_limits_says_nothing_of_them(tmp_path: Path) -> None:
    write_chats(tmp_path / "chats.jsonl")
    command = [sys.executable, "-m", "screen", "inspect", "chats.jsonl"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr.count("note:") == 0
