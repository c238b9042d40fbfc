"""Write the JSON schema of params.yaml, which editors use for completion and checks."""

import argparse
import json
from pathlib import Path

from dbot.params.describe import json_schema
from dbot.record.digest import write_whole


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, default=Path("schema/params.schema.json"), metavar="FILE", help="where (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    write_whole(args.output, (json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n").encode())
    print(f"wrote {args.output}")
