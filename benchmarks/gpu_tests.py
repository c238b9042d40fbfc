"""The tests that need a GPU, and how each of them ended.

Only the files that name the mark are read, and no conftest.py: others import packages that a machine lent for minutes lacks.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pages


class Outcomes:
    """Hears of every test as it ends."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, str]] = {}
        """By test, how it ended and why."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            outcome = report.outcome if report.when == "call" else f"{report.outcome} in its {report.when}"
            crash = getattr(report.longrepr, "reprcrash", None)
            self.found[report.nodeid] = outcome, "" if crash is None else crash.message.splitlines()[0].replace("|", "/")


def main() -> int:
    parser = pages.parser("gpu_tests", __doc__)
    parser.add_argument("--tests", type=Path, default=Path("tests"), metavar="FOLDER", help="(default: tests)")
    args = parser.parse_args()
    outcomes = Outcomes()
    files = [str(path) for path in sorted(args.tests.rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    options = ["-m", "gpu", "-q", "--noconftest", "-p", "no:cacheprovider"]
    status = pytest.main([*options, *files], plugins=[outcomes]) if files else pytest.ExitCode.OK
    rows = [[f"`{name}`", *outcome] for name, outcome in sorted(outcomes.found.items())]
    passed = sum(outcome == "passed" for outcome, _ in outcomes.found.values())
    pages.write(args.output, "Tests on a GPU", [f"{passed} of {len(rows)} passed.", pages.table(["test", "outcome", "why"], rows)])
    # That some failed is an answer too; only where they could not be run there is none.
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else 1


if __name__ == "__main__":
    sys.exit(main())
