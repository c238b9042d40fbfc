"""One set of pins: pyproject.toml's. The locks, conda's file and the Makefile follow it."""

import platform
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
PINS = [*DECLARED["dependencies"], *DECLARED["optional-dependencies"]["dev"]]


def by_name(requirements: list[str]) -> dict[str, str]:
    return {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, requirements)}


LOCK = (PROJECT / "requirements.lock").read_text()
LOCKED = by_name([line for line in LOCK.splitlines() if not line.startswith("#")])


def test_every_pin_is_exact() -> None:
    pins = by_name([*PINS, *(each for extra in DECLARED["optional-dependencies"].values() for each in extra)])
    assert not {name: pin for name, pin in pins.items() if not pin.startswith("==") or "*" in pin}


def test_the_lock_holds_every_pin() -> None:
    assert {name: LOCKED.get(name) for name in by_name(PINS)} == by_name(PINS)


def test_the_lock_says_nothing_of_where_it_was_made() -> None:
    assert all(line.startswith("#") or (line.count("==") == 1 and "/" not in line and " " not in line) for line in LOCK.splitlines())


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the lock is for Linux on x86-64")
def test_the_lock_holds_what_the_pins_need_and_no_more() -> None:
    lock = runpy.run_path(str(PROJECT / ".ci" / "lock"))
    assert set(LOCKED) == set(lock["closure"](lock["declared"](PROJECT / "pyproject.toml")))


def test_the_pages_have_a_lock_of_their_own() -> None:
    """With the versions that the code has of what both need, and exact pins of the rest."""
    lock = runpy.run_path(str(PROJECT / ".ci" / "lock"))
    roots = by_name([str(each) for each in lock["declared"](PROJECT / "pyproject.toml", "docs")])
    locked = by_name([line for line in (PROJECT / "requirements-docs.lock").read_text().splitlines() if not line.startswith("#")])
    assert {"mkdocs-material", "mkdocstrings-python", "pydantic", "pyyaml"} == set(roots)
    assert {name: locked.get(name) for name in roots} == roots
    assert all(pin.startswith("==") for pin in locked.values())
    assert {name: locked[name] for name in ("pydantic", "pyyaml")} == {name: LOCKED[name] for name in ("pydantic", "pyyaml")}
    assert "torch" not in locked


def test_servers_and_validators_have_a_lock_of_their_own() -> None:
    lock = runpy.run_path(str(PROJECT / ".ci" / "lock"))
    roots = by_name([str(each) for each in lock["declared"](PROJECT / "pyproject.toml", "services")])
    locked = by_name([line for line in (PROJECT / "requirements-services.lock").read_text().splitlines() if not line.startswith("#")])
    assert roots
    assert {name: locked.get(name) for name in roots} == roots
    assert all(pin.startswith("==") for pin in locked.values())


def test_what_lies_over_the_environment_is_nothing_that_it_has() -> None:
    lock = runpy.run_path(str(PROJECT / ".ci" / "lock"))
    roots = by_name([str(each) for each in lock["declared"](PROJECT / "pyproject.toml", "clients")])
    locked = by_name([line for line in (PROJECT / "requirements-clients.lock").read_text().splitlines() if not line.startswith("#")])
    assert roots == by_name([each for extra in ("s3", "ssh", "server") for each in DECLARED["optional-dependencies"][extra]])
    assert {name: locked.get(name) for name in roots} == roots
    assert all(pin.startswith("==") for pin in locked.values())
    assert not locked.keys() & LOCKED.keys()


def test_conda_gets_the_same_packages() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    (from_pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert from_pip == PINS
    assert "python=3.11" in environment["dependencies"]
    assert DECLARED["requires-python"] == "==3.11.*"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with nothing but what `make` reads."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def test_make_alone_prints_every_target(elsewhere: Path) -> None:
    listed = {line.split()[1] for line in make(elsewhere).stdout.splitlines()}
    (phony,) = (line.split()[1:] for line in (PROJECT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony)


def test_without_its_python_make_says_so_in_a_line(elsewhere: Path) -> None:
    done = make(elsewhere, "demo", "PYTHON=")
    assert done.returncode != 0
    assert "there is no Python 3.11 here" in done.stdout
    assert not (elsewhere / ".venv").exists()


def test_an_installation_that_was_cut_off_starts_afresh(elsewhere: Path) -> None:
    (elsewhere / ".venv" / "lib").mkdir(parents=True)
    (elsewhere / ".venv" / ".unfinished").touch()
    done = make(elsewhere, "environment", "PYTHON=false")  # no environment is made: `false` stands in for Python
    assert done.returncode != 0
    assert not (elsewhere / ".venv" / "lib").exists()
