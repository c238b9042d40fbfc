"""Show what may be freed because no receipt needs it; with --delete, free it."""

import argparse

from dbot.record.gc import delete, free, plans


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delete", action="store_true", help="free it (default: show it only)")


def run(args: argparse.Namespace) -> None:
    found = free(plans(args.params))
    freed = 0
    for each in sorted(found, key=lambda each: -each.bytes):
        gone = not args.delete or delete(each)
        freed += each.bytes if gone else 0
        print(f"{_size(each.bytes):>9}  {each.path}: {each.why if gone else 'is in use by now, and stays'}")
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
