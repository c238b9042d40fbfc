"""Stands for `dbot.cli` where a process that stands by is tested: what a job can do, without its libraries."""

import os
import signal
import sys
import time
from pathlib import Path

from dbot.base.standby import ADDRESS


def main(arguments: list[str]) -> int:
    if arguments[0] == "say":
        print(f"folder={Path.cwd()}", f"variable={os.environ['MEANT']}", f"address={os.environ.get(ADDRESS)}", sep="\n")
        print(f"arguments={sys.argv[1:]}", f"parent={os.getppid()}", sep="\n")
        print("an error", file=sys.stderr)
        return 3
    if arguments[0] == "listen":
        heard: list[int] = []
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda number, frame: heard.append(number))
        print("listening", flush=True)
        while not heard:
            time.sleep(0.01)
        time.sleep(0.2)  # a signal that came twice would be heard twice
        print("heard", *heard)
        return 7
    if arguments[0] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("as it was asked to")
