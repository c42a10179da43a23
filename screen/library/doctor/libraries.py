"""Whether the libraries are there, and which versions."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator
from importlib import metadata

from screen import __version__
from screen.library.doctor.record import HealthCheck, ok, problem, warn

NEEDED = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "polars", "duckdb", "pyarrow", "numpy",
    "orjson", "jinja2", "httpx2", "zstandard", "rensa", "pyyaml", "click", "rich",
)  # fmt: skip
_MODULES = {"huggingface-hub": "huggingface_hub", "pyyaml": "yaml"}  # where the module has another name
OPTIONAL = {"triton": "kernels on a GPU", "textual": "screen browse"}  # package -> what needs it


def python() -> Iterator[HealthCheck]:
    """Our version and Python's."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield ok("screen", f"persona-screen {__version__}")
    yield ok("python", f"{platform.python_implementation()} {platform.python_version()} on {system}")


def libraries() -> Iterator[HealthCheck]:
    """One a library that is missing or broken; one for all that are well."""
    well, absent = [], []
    for package in NEEDED:
        try:
            importlib.import_module(_MODULES.get(package, package))
            well.append(f"{package} {metadata.version(package)}")
        except Exception as error:  # a broken binary raises whatever it likes
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            again = f"pip install --force-reinstall {package}"
            yield problem(package, f"cannot be imported: {said}", f"install it again: {again}")
    for package, needs in OPTIONAL.items():
        try:
            well.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            absent.append(f"{package} ({needs})")
    yield ok("libraries", ", ".join(well))
    if absent:
        yield warn("optional", f"not installed: {', '.join(absent)}", "nothing, unless you need that")
