"""Write what is made from the model of params.yaml, and from the demo: the schemas that editors use, and dvc.yaml."""

import argparse
import json
from pathlib import Path

from dbot.base.files import write_whole
from dbot.params.load import load
from dbot.params.schema import included_schema, json_schema, site_schema
from dbot.plan import Plan
from dbot.versioning.dvc_yaml import FILE, project_text


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=Path("schema"), metavar="FOLDER", help="of the schemas (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    for name, schema in (("params", json_schema()), ("included", included_schema()), ("site", site_schema())):
        path = args.folder / f"{name}.schema.json"
        write_whole(path, (json.dumps(schema, indent=1, ensure_ascii=False) + "\n").encode())
        print(f"wrote {path}")
    write_whole(FILE, project_text(Plan(load(args.params))).encode())
    print(f"wrote {FILE}")
