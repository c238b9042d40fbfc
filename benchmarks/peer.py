"""One of lightly-train's self-supervised methods on a small ViT, started by `benchmarks.peers`.

It runs in lightly-train's environment, so it imports nothing of ours.
"""

import argparse
import json
import resource
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

BATCH = 64
ARCHITECTURE = "vit_tiny_patch16_224"
"""A plain ViT of timm, whose every figure is given."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--output", type=Path, required=True, help="gets the network in the form of timm's hub")
    parser.add_argument("--method", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--network", type=json.loads, required=True, help="arguments of timm's VisionTransformer")
    args = parser.parse_args()

    import lightly_train  # only in its own environment

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = timm.create_model(ARCHITECTURE, **args.network, num_classes=0, dynamic_img_size=True)
    side = args.network["img_size"]
    transforms = {"image_size": (side, side)}
    if args.method == "dino":  # its small crops, in the share of the large ones that it has at 224 px
        transforms["local_view"] = {"num_views": 6, "view_size": (side // 2, side // 2)}
    lightly_train.pretrain(
        out=args.output / "run",
        data=args.images,
        model=network,
        method=args.method,
        epochs=args.epochs,
        batch_size=BATCH,
        num_workers=0,
        accelerator="cpu",
        devices=1,
        precision="32-true",
        transform_args=transforms,
        overwrite=True,
    )
    exported = torch.load(args.output / "run" / "exported_models" / "exported_last.pt", map_location="cpu", weights_only=True)
    in_hub_form(exported, args.network, args.output)
    used = resource.getrusage(resource.RUSAGE_SELF)
    (args.output / "seconds.json").write_text(json.dumps(used.ru_utime + used.ru_stime))


def in_hub_form(weights: Mapping[str, Tensor], network: Mapping[str, int], folder: Path) -> None:
    """Write a ViT's weights as a folder that timm, and so `dbot measure`, loads."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 0,
        "model_args": {**network, "num_classes": 0},
        "pretrained_cfg": {
            "input_size": [3, network["img_size"], network["img_size"]],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "num_classes": 0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main()
