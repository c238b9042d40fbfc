"""A checkpoint as timm loads it, with the model card that its receipts give."""

import json
from dataclasses import dataclass
from pathlib import Path

from dbot.base.digest import file_digest
from dbot.base.files import READABLE
from dbot.lineage import receipt as receipts
from dbot.params.load import load
from dbot.params.scales import Normalisation
from dbot.plan import Plan

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


@dataclass(frozen=True)
class Written:
    """What an export says of the network, beside its files."""

    classes: int
    """0: a backbone."""


def plan_of(params: Path, scale: str | None, receipt: Path | None) -> Plan:
    """The plan that a checkpoint's card is written by: that of a scale, or of its receipt's."""
    made = receipts.read(receipt) if receipt is not None else None
    return Plan(load(params, scale or (made.scale if made is not None else None)))


def export(plan: Plan, path: Path, receipt: Path | None, folder: Path, called: Path) -> Written:
    """Write weights under timm's names, their configuration and the card into a folder.

    Args:
        plan: whose table and parameters the card shows.
        path: the checkpoint.
        receipt: that of the job that wrote it, if there is one.
        folder: gets the files.
        called: the folder as the card's example names it.

    Raises:
        UserError: it holds no network, or is not the file on its receipt.
    """
    from safetensors.torch import save_file

    from dbot.models import checkpoint
    from dbot.models.timm_form import as_timm, hub_config, statistics_of, timm_weights
    from dbot.report.card import Exported, card

    made = receipts.read(receipt) if receipt is not None else None
    if made is not None:
        receipts.verified(path.parent, path.name, made.artifacts[path.name])
    weights, about = checkpoint.load(path)
    _, form = as_timm(weights, about, str(path))
    settings = made.settings if made is not None else {}
    resize = settings.get("recipe", {}).get("evaluation_resize")
    project = Normalisation.model_validate(settings["normalisation"]) if "normalisation" in settings else plan.params.normalisation
    statistics = statistics_of(about, project)
    exported = Exported(path, file_digest(path), about, receipt, form.image_size, statistics.mean, statistics.std, called)
    text = card(plan, exported)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in timm_weights(weights, about).items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    (folder / WEIGHTS).chmod(READABLE)
    (folder / CONFIG).write_text(json.dumps(hub_config(form, about, statistics, resize), indent=1) + "\n")
    (folder / CARD).write_text(text)
    return Written(len(about["classes"]) if about["kind"] == "classifier" else 0)
