"""The page that a benchmark leaves: what was measured, on what, when, by which command."""

import argparse
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.sides import cores

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "torchvision", "timm", "pillow", "simplejpeg", "numpy", "snakemake", "mlflow")


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The flags that all benchmarks share."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    made.add_argument("--rounds", type=int, default=5, help="measurements of each side, in turns (default: 5)")
    made.add_argument("--output", type=Path, default=RESULTS / f"{name}.md", metavar="FILE", help="where the page goes")
    return made


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write the page, and print it."""
    command = " ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *map(_without_places, sys.argv[1:])])
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)) is not None)
    about = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {hardware()}.",
        f"Python {platform.python_version()}, {versions}.",
        f"Command: `{command}`",
    ]
    text = "\n\n".join([f"# {title}", "  \n".join(about), *parts]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)


def _version(name: str) -> str | None:
    """Of a package, if it is there: a machine that was lent for a few minutes has the fewest."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def hardware() -> str:
    """The cores that may be used and the GPU, by their makers' names."""
    import torch

    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()} and {cores()} cores of {_processor()}"
    return f"{cores()} cores of {_processor()}, no GPU"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]) if found else platform.machine()


def _without_places(argument: str) -> str:
    """A path of this machine says nothing to anybody else: its last part does."""
    return f"…/{Path(argument).name}" if argument.startswith("/") else argument
