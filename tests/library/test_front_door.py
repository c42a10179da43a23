"""`import screen`: what it offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import screen
from screen.cli.runs.run import command
from screen.cli.vectors.build import command as build
from screen.errors import StoreError, UsageError, VectorError

TOLD_BY_THE_COMMAND = {"no_report", "fail_on", "as_json", "quiet", "verbose", "dataset"}


def test_the_import_takes_under_50_ms_and_loads_no_large_library() -> None:
    code = (
        "import sys, time; began = time.process_time(); import screen; seconds = time.process_time() - began\n"
        "assert not {'torch', 'transformers', 'polars', 'duckdb', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "print(seconds)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.05


def test_looking_at_a_run_loads_no_model_library(run: Path) -> None:
    code = f"import sys, screen; screen.open({str(run)!r}).top('evil'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_editors_and_mypy_see_types() -> None:
    assert (Path(screen.__file__).parent / "py.typed").is_file()
    for name in screen.__all__:
        assert f" as {name}" in Path(screen.__file__).read_text()


def test_every_name_is_there() -> None:
    assert set(screen.__all__) <= set(dir(screen))
    assert all(getattr(screen, name) for name in screen.__all__)
    assert screen.errors.UsageError is UsageError
    with pytest.raises(AttributeError, match="no attribute 'scam'"):
        screen.scam  # noqa: B018


def test_the_room_of_the_name_scan_is_the_function_too() -> None:
    import screen.scan.reflag as room

    assert isinstance(room, ModuleType)
    assert "group_by" in inspect.signature(screen.scan).parameters
    assert (inspect.getdoc(screen.scan) or "").startswith("Score every row")
    with pytest.raises(UsageError, match=r"nowhere\.jsonl: no such file"):
        screen.scan("nowhere.jsonl")


def test_the_keywords_are_the_flags() -> None:
    flags = {option.name for option in command.params} - TOLD_BY_THE_COMMAND
    named = set(inspect.signature(screen.scan).parameters) - {"dataset", "progress"}
    assert {{"shape": "format", "fields": "map"}.get(str(flag), flag) for flag in flags} == named


def test_a_keyword_that_is_no_flag() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'trait' \(did you mean traits\?\)"):
        screen.scan("chats.jsonl", trait="evil")  # type: ignore[call-arg]


def test_the_keywords_of_a_build_are_its_flags() -> None:
    flags = {option.name for option in build.params} - {*TOLD_BY_THE_COMMAND, "traits"}
    assert flags == set(inspect.signature(screen.build_vectors).parameters) - {"traits", "progress"}
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'rollout' \(did you mean rollouts\?\)"):
        screen.build_vectors("evil", rollout=1)  # type: ignore[call-arg]


def test_a_wrong_value_of_a_build_is_told_first() -> None:
    with pytest.raises(UsageError, match="--layer-by 'best': no such choice"):
        screen.build_vectors("evil", layer_by="best")
    with pytest.raises(UsageError, match="there is no trait 'evl' in the library"):
        screen.build_vectors("evl")


def test_vectors_by_trait(tiny_vectors: Path) -> None:
    assert list(screen.load_vectors(tiny_vectors)) == ["evil", "kind"]
    assert list(screen.load_vectors([tiny_vectors / "kind.safetensors"])) == ["kind"]
    with pytest.raises(VectorError, match="no vector file at nowhere"):
        screen.load_vectors("nowhere")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train_on": "user"}, "--train-on 'user': no such choice"),
        ({"calibrate_on": 3}, "--calibrate-on 3 is out of range"),
        ({"max_row_mib": 65}, "--max-row-mib 65 is out of range"),
        ({"fdr": 1.0}, "--fdr 1.0 is out of range"),
        ({"limit": "x"}, "--limit 'x' is not a number of rows or a range"),
        ({"device": "gpu"}, "--device 'gpu': no such device"),
        ({"at": "high"}, "--at takes a percentile of the reference such as p95 or p99, not 'high'"),
        ({"traits": []}, "--traits names no trait"),
        ({"layer": "evil=20"}, "--layer 'evil=20': no such value"),
        ({"layer": {"evil": True}}, "--layer {'evil': True}: no such value"),
        ({"vectors": ["v", 3]}, "--vectors ['v', 3]: no such value"),
        ({"shard_rows": "512"}, "--shard-rows '512': no such value"),
        ({"refine": 1}, "--refine 1: no such value"),
    ],
)
def test_a_wrong_value_is_told_as_on_the_command_line(wrong: dict[str, object], message: str, chats: Path) -> None:
    with pytest.raises(UsageError) as error:
        screen.scan(chats, **wrong)  # type: ignore[arg-type]
    assert error.value.message == message
    assert error.value.next_step


def test_what_a_wrong_type_is_to_be() -> None:
    with pytest.raises(UsageError, match=r"give Mapping\[str, int\]"):
        screen.scan("chats.jsonl", layer=[20])  # type: ignore[arg-type]


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no run at"):
        screen.open(tmp_path)
