"""The tests that need a GPU, and how each of them ended."""

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pages


class Outcomes:
    """Hears of every test as it ends."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.found[report.nodeid] = report.outcome if report.when == "call" else f"{report.outcome} in its {report.when}"


def main() -> int:
    parser = pages.parser("gpu_tests", __doc__)
    parser.add_argument("--tests", type=Path, default=Path("tests"), metavar="FOLDER", help="(default: tests)")
    args = parser.parse_args()
    outcomes = Outcomes()
    status = pytest.main(["-m", "gpu", "-q", "-p", "no:cacheprovider", str(args.tests)], plugins=[outcomes])
    rows = [[f"`{name}`", outcome] for name, outcome in sorted(outcomes.found.items())]
    pages.write(args.output, "Tests on a GPU", [pages.table(["test", "outcome"], rows) if rows else "There were none."])
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
