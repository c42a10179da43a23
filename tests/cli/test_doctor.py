"""`screen doctor` on machines that lack something: it never fails, and names nobody."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from screen.library.doctor import diagnose, libraries, machine, storage
from screen.library.doctor.record import HealthCheck, ok, without_names
from screen.library.places import default_cache
from tests.cli.conftest import Screen


def by_name(checks: Iterator[HealthCheck]) -> dict[str, HealthCheck]:
    return {check.name: check for check in checks}


def test_here_all_is_well_and_the_fast_path_is_named(screen: Screen) -> None:
    said = screen("doctor", "--fail")
    assert said.code == 0, said.out
    assert "ok        batching: packed" in said.out
    assert "0 problems" in said.out.splitlines()[-1]
    assert max(len(line) for line in said.out.splitlines() if " cache: " not in line and "/" not in line) <= 80


def test_a_library_that_is_missing_is_a_problem_and_the_others_are_told(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(diagnose.CHECKS, "devices", lambda: (_ for _ in ()).throw(ImportError(name="torch")))
    monkeypatch.setattr("screen.library.doctor.batching.batching", lambda model: [ok("batching", "skipped")])
    said = screen("doctor", "--json", "--fail")
    found = {check["name"]: check for check in json.loads(said.out)["checks"]}
    assert said.code == 1
    assert "checks found a problem: polars, devices" in said.err
    assert found["polars"]["next_step"] == "install it again: pip install --force-reinstall polars"
    assert found["devices"]["says"] == "cannot be told without torch"
    assert "duckdb" in found["libraries"]["says"]
    assert "polars" not in found["libraries"]["says"]
    assert screen("doctor").code == 0


def test_a_model_that_is_not_there_and_a_check_that_breaks_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[HealthCheck]:
        raise RuntimeError("boom in /home/alice/x")

    monkeypatch.setattr(diagnose, "CHECKS", {"disk": broken})
    found = by_name(diagnose.diagnose("./nowhere"))
    assert found["disk"].says == "the check itself failed: RuntimeError: boom in /home/USER/x"
    assert found["batching"].says == "no model folder at ./nowhere"
    assert {check.status for check in found.values()} == {"problem"}


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    default_cache().mkdir(parents=True)
    (default_cache() / "some.cache").write_bytes(bytes(1 << 20))
    told = by_name(storage.caches())["answers cache"]
    assert (told.status, told.says.partition(": ")[2]) == ("ok", "1.0 MiB in 1 files")
    monkeypatch.setattr(os, "access", lambda path, mode: str(default_cache()) not in str(path))
    told = by_name(storage.caches())["answers cache"]
    assert (told.status, told.next_step) == ("warn", "give another folder with --cache, or set XDG_CACHE_HOME")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert by_name(storage.caches())["answers cache"].status == "warn"


@pytest.mark.parametrize(
    ("built", "there", "status"), [(None, False, "ok"), ("12.8", False, "warn"), ("12.8", True, "ok")]
)
def test_gpus(built: str | None, there: bool, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(name="Example GPU", total_memory=80 << 30, major=9, minor=0)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: facts)
    (told,) = machine.devices()
    assert told.status == status
    assert ("Example GPU, 81,920 MiB" in told.says) == there


def test_more_threads_than_cores_and_a_full_disk_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    (told,) = machine.threads()
    assert (told.status, told.next_step.startswith("more threads than cores")) == ("warn", True)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1 << 20))
    assert [check.status for check in storage.disk()] == ["warn", "warn"]


def test_systems_without_landlock_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screen.store.sql.landlock.version", lambda: 0)
    monkeypatch.setattr("screen.rendering.templates.sandbox.limits_absent", lambda: ["memory"])
    assert [check.status for check in machine.limits()] == ["warn", "warn"]


def test_settings_are_told_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")
    off, given = machine.offline()
    assert off.says == "HF_HUB_OFFLINE set: models are folders, or in the hub's cache"
    assert {"HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"} <= set(given.says.removeprefix("set: ").split(", "))
    assert "s3cret" not in off.says + given.says
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert next(iter(machine.offline())).says == "hub ids are fetched"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/srv/people/alice/.cache/x", "~/.cache/x"),
        ("/srv/people/alice2/x", "/srv/people/alice2/x"),
        ("/home/bob/x: denied", "/home/USER/x: denied"),
        ("C:\\Users\\bob\\x", "C:\\Users\\USER\\x"),
        ("/data/alice/hub", "/data/USER/hub"),
    ],
)
def test_paths_name_nobody(path: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/alice")
    monkeypatch.setenv("LOGNAME", "alice")
    assert without_names(path) == shown


def test_every_library_that_is_needed_is_looked_at() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    needed = text.partition("dependencies = [")[2].partition("]")[0]
    assert {line.strip(' ",').partition(">=")[0] for line in needed.splitlines() if ">=" in line} == set(
        libraries.NEEDED
    )
