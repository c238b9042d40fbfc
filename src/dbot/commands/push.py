"""Send what DVC keeps to its remote, as `dvc push` does; what a push that was cut off left in pieces there is sent again."""

import argparse

from dbot.versioning.remote import push


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remote", metavar="NAME", help="which (default: DVC's default remote)")


def run(args: argparse.Namespace) -> None:
    sent = push(args.remote)
    again = f", {sent.mended} of them in place of pieces" if sent.mended else ""
    print(f"{sent.objects} object{'s' * (sent.objects != 1)} sent to {sent.remote}{again}")
