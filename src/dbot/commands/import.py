"""Import a file of weights that others released (dBOT, MAE, DINO, DeiT, BEiT, CLIP, timm) as a checkpoint of ours."""

import argparse
from pathlib import Path
from typing import get_args

from dbot.params.teachers import Activation, Layout


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what was released: .pth, .pt, .bin or .safetensors")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the checkpoint to write, .safetensors")
    parser.add_argument("--layout", choices=get_args(Layout), help="how the file names its tensors (default: its names show it)")
    parser.add_argument("--architecture", metavar="NAME", help="an architecture of params.yaml (default: the shapes show it)")
    parser.add_argument("--weights", metavar="KEY", help="where in the file the weights are: state_dict_ema (default: it is said)")
    parser.add_argument("--heads", type=int, metavar="N", help="attention heads, which no shape shows (default: as usual; it is said)")
    parser.add_argument("--activation", choices=get_args(Activation), help="which no shape shows (default: gelu; CLIP: quickgelu)")
    for flag, what in (("--mean", "mean of the pixels, 0 to 1, with which it was trained"), ("--std", "their standard deviation")):
        parser.add_argument(flag, type=float, nargs=3, metavar=("R", "G", "B"), help=f"{what} (default: the layout's, or params.yaml's)")


def run(args: argparse.Namespace) -> None:
    from dbot.base.digest import file_digest
    from dbot.base.errors import UserError
    from dbot.lineage.session import place
    from dbot.models import checkpoint
    from dbot.models.released.take_over import Stated, take_over
    from dbot.params.load import load

    if args.output.suffix != ".safetensors":
        raise UserError(f"--output is {args.output}: its name must end in .safetensors")
    architecture = None
    if args.architecture is not None:
        declared = load(args.params, args.scale).params.architectures
        if args.architecture not in declared:
            raise UserError(f"--architecture is {args.architecture!r}: {args.params} declares {', '.join(declared)}")
        architecture = declared[args.architecture]
    if (args.mean is None) != (args.std is None):
        raise UserError("--mean and --std go together; give both or neither")
    if args.heads is not None and args.heads < 1:
        raise UserError(f"--heads is {args.heads}: must be at least 1")
    stated = Stated(args.weights, args.heads, args.activation, args.mean, args.std)
    weights, about = take_over(args.file, args.layout, architecture, stated, print)
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
