"""A program like those of benchmarks, that writes its page, fails after half of it, or takes its time."""

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    how, _, page = sys.argv[1:]
    Path(page).write_text("a page\n")
    if how == "slow":
        time.sleep(600)
    sys.exit(how == "fails")
