"""Write a checkpoint as timm loads it, for classification or as a backbone, with a model card from its receipt."""

import argparse
from pathlib import Path

MARKER = ".dbot-export"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint, .safetensors, or the receipt or folder of the job that wrote one"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets model.safetensors, config.json and README.md")


def run(args: argparse.Namespace) -> None:
    from dbot.base.files import whole_folder
    from dbot.lineage.target import checkpoint_at
    from dbot.publish.export import export, plan_of

    path, receipt = checkpoint_at(args.checkpoint)
    plan = plan_of(args.params, args.scale, receipt)
    with whole_folder(args.output, MARKER) as folder:
        export(plan, path, receipt, folder, args.output)
    print(f'wrote {args.output}: timm.create_model("local-dir:{args.output}", pretrained=True) loads it')
