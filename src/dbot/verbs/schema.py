"""Write the JSON schemas of params.yaml, the files that it includes, and site.yaml, which editors use for completion and checks."""

import argparse
import json
from pathlib import Path

from dbot.base.files import write_whole
from dbot.params.schema import included_schema, json_schema, site_schema


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=Path("schema"), metavar="FOLDER", help="where (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    for name, schema in (("params", json_schema()), ("included", included_schema()), ("site", site_schema())):
        path = args.folder / f"{name}.schema.json"
        write_whole(path, (json.dumps(schema, indent=1, ensure_ascii=False) + "\n").encode())
        print(f"wrote {path}")
