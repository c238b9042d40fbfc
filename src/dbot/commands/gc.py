"""Show what may be freed because no receipt needs it; with --delete, free it."""

import argparse

from dbot.lineage.target import plans
from dbot.versioning.gc import CACHE, delete, free, why_the_cache_stays


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delete", action="store_true", help="free it (default: show it only)")


def run(args: argparse.Namespace) -> None:
    found = free(plans(args.params))
    stay = delete(found) if args.delete else []
    freed = sum(each.bytes for each in found if each not in stay)
    for each in sorted(found, key=lambda each: -each.bytes):
        print(f"{_size(each.bytes):>9}  {each.path}: {'is in use by now, and stays' if each in stay else each.why}")
    if (why := why_the_cache_stays()) is not None:
        print(f"{CACHE}: is left alone: {why}")
    if not found:
        print("nothing: every file is needed by a receipt or by a job that would go on from it")
    elif args.delete:
        print(f"{_size(freed)} freed")
    else:
        print(f"{_size(freed)} in all; `dbot gc --delete` frees it")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
