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
    import json

    from safetensors.torch import save_file

    from dbot.base.digest import file_digest
    from dbot.base.files import READABLE, whole_folder
    from dbot.lineage import receipt as receipts
    from dbot.lineage.target import checkpoint_at
    from dbot.models import checkpoint
    from dbot.models.timm_form import as_timm, hub_config, statistics_of, timm_weights
    from dbot.params.load import load
    from dbot.params.scales import Normalisation
    from dbot.plan import Plan
    from dbot.report.card import Exported, card

    path, receipt = checkpoint_at(args.checkpoint)
    made = receipts.read(receipt) if receipt is not None else None
    plan = Plan(load(args.params, args.scale or (made.scale if made is not None else None)))
    if made is not None:
        receipts.verified(path.parent, path.name, made.artifacts[path.name])
    weights, about = checkpoint.load(path)
    _, form = as_timm(weights, about, str(path))
    settings = made.settings if made is not None else {}
    resize = settings.get("recipe", {}).get("evaluation_resize")
    project = Normalisation.model_validate(settings["normalisation"]) if "normalisation" in settings else plan.params.normalisation
    statistics = statistics_of(about, project)
    exported = Exported(path, file_digest(path), about, receipt, form.image_size, statistics.mean, statistics.std, args.output)
    text = card(plan, exported)
    with whole_folder(args.output, MARKER) as folder:
        save_file(
            {name: tensor.contiguous() for name, tensor in timm_weights(weights, about).items()},
            folder / "model.safetensors",
            {"format": "pt"},
        )
        (folder / "model.safetensors").chmod(READABLE)
        (folder / "config.json").write_text(json.dumps(hub_config(form, about, statistics, resize), indent=1) + "\n")
        (folder / "README.md").write_text(text)
    print(f'wrote {args.output}: timm.create_model("local-dir:{args.output}", pretrained=True) loads it')
