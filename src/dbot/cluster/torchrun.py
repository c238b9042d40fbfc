"""torchrun, whose report on a failure is one line and the status of the process that failed first.

torch's own report is twenty lines for every process, below which the reason is not found, and its status is always 1.
"""

import logging
import os
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(argv: list[str] | None = None) -> int:
    """Run processes as `torchrun ARGUMENTS` does; the status is 0 or that of the process that failed first."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # what torchrun sets too, with a banner; dbot sets its threads itself
    try:
        run.run(run.parse_args(argv))
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        status = first.exitcode if first.exitcode >= 0 else 128 - first.exitcode
        print(f"torchrun: process {rank} ended first, with status {status}; the others were ended then", flush=True)
        return status
    except SignalException as error:
        return 128 + error.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main())
