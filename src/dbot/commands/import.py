"""Import a file of weights that others released (dBOT, MAE, DINO, DeiT, BEiT, CLIP, timm) as a checkpoint of ours."""

import argparse
from pathlib import Path
from typing import get_args

from dbot.params.teachers import Layout


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what was released: .pth, .pt, .bin or .safetensors")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the checkpoint to write, .safetensors")
    parser.add_argument("--layout", choices=get_args(Layout), help="how the file names its tensors (default: its names show it)")
    parser.add_argument("--architecture", metavar="NAME", help="an architecture of params.yaml (default: the shapes show it)")


def run(args: argparse.Namespace) -> None:
    from dbot.base.digest import file_digest
    from dbot.base.errors import UserError
    from dbot.lineage.session import place
    from dbot.models import checkpoint
    from dbot.models.released.take_over import take_over
    from dbot.params.load import load

    if args.output.suffix != ".safetensors":
        raise UserError(f"--output is {args.output}: its name must end in .safetensors")
    architecture = None
    if args.architecture is not None:
        declared = load(args.params, args.scale).params.architectures
        if args.architecture not in declared:
            raise UserError(f"--architecture is {args.architecture!r}: {args.params} declares {', '.join(declared)}")
        architecture = declared[args.architecture]
    weights, about = take_over(args.file, args.layout, architecture)
    about["source"] = {"file": args.file.name, "sha256": file_digest(args.file)}
    part = args.output.with_name(f".{args.output.name}.part")
    checkpoint.save(part, weights, about)
    place(part, args.output)
    a = about["architecture"]
    figures = f"{a['depth']} blocks of width {a['width']}, {a['heads']} heads, {a['patch_size']} px patches"
    size = about.get("image_size", a["image_size"])
    print(
        f"wrote {args.output}: {about['kind']} of layout {about['layout']}, {figures}, {size} px, {len(weights)} tensors, all accounted for"
    )
