"""Any network that a person can name, ready to be measured: pixels in, logits out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from dbot.base.errors import UserError
from dbot.data.transforms import Transform, evaluation_transform
from dbot.models import checkpoint
from dbot.models.positions import resize_to_grid
from dbot.models.released.envelope import Say, silent
from dbot.models.released.reading import read_tensors
from dbot.models.released.take_over import Stated, take_over
from dbot.models.teachers.networks import timm_network
from dbot.models.teachers.package import package_network
from dbot.models.timm_form import as_timm, hub_config, statistics_of, timm_form, timm_weights
from dbot.params.probes import Pooling
from dbot.params.scales import Normalisation
from dbot.params.teachers import FileTeacher, PackageTeacher, Teacher, TimmTeacher

LOCAL = "local-dir:"
"""How timm calls a folder in the form of its hub."""
HUB_CONFIG = "config.json"
SEED = 0
"""Of weights that are drawn at random."""


@dataclass(frozen=True)
class Wanted:
    """How a person wants images to be prepared; None: as the network's own configuration says."""

    image_size: int | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    crop_pct: float | None = None
    interpolation: str | None = None

    @property
    def overrides(self) -> dict[str, Any]:
        """By timm's names."""
        sized = {"input_size": (3, self.image_size, self.image_size)} if self.image_size else {}
        others = {"mean": self.mean, "std": self.std, "crop_pct": self.crop_pct, "interpolation": self.interpolation}
        return {**sized, **{key: value for key, value in others.items() if value is not None}}


@dataclass(frozen=True)
class Subject:
    """A network in eval mode, with all that it takes to measure it."""

    network: Any
    """Normalised pixels (B, 3, size, size) to logits (B, outputs)."""
    title: str
    outputs: int
    """Of its classifier; 0: it has none."""
    names: list[str] | None
    """Of the outputs; None: it doesn't name them."""
    image_size: int
    statistics: Normalisation
    transform: Transform
    prepared: Mapping[str, Any]
    """How images are prepared, by timm's names."""
    pooling: Pooling
    """What stands for an image, where the network has tokens."""
    files: list[Path] = field(default_factory=list)
    """That its weights came from."""

    def require_head(self, job: str) -> None:
        """Refuse a network that classifies nothing.

        Raises:
            UserError: it has no classifier.
        """
        if not self.outputs:
            raise UserError(f"{self.title}: has no classifier, which {job} needs; measure what its features hold (--as knn linear)")


def subject_of(
    named: str, weights: str | None, wanted: Wanted, teachers: Mapping[str, Teacher], otherwise: Normalisation, say: Say = silent
) -> Subject:
    """The network that a person names.

    Args:
        named: a checkpoint of ours; a file of a published layout; a folder in the form of timm's hub (also as `local-dir:FOLDER`); a
            name in timm's registry; or a declared teacher.
        weights: of a network of timm: `hub`, `random` or a file. None: `hub`.
        wanted: how images shall be prepared.
        teachers: those that are declared.
        otherwise: pixel statistics of networks that come without any.
        say: told what is assumed.

    Raises:
        UserError: there is no such network, or it can't be read, built or filled.
    """
    path = Path(named.removeprefix(LOCAL))
    declared = teachers.get(named)
    is_timm = isinstance(declared, TimmTeacher) or (declared is None and not path.exists() and timm.is_model(named))
    if weights is not None and not is_timm:
        raise UserError(f"--weights is {weights}: is for a network that timm knows by name, and {named} is none; leave it out")
    if isinstance(declared, TimmTeacher):
        sized = wanted if wanted.image_size else _with_size(wanted, declared.image_size)
        return _of_timm(declared.model, weights or declared.weights, sized)
    if isinstance(declared, PackageTeacher):
        return _of_package(named, declared, wanted)
    if isinstance(declared, FileTeacher):
        stated = Stated(declared.entry, declared.heads, declared.activation, declared.mean, declared.std)
        sized = wanted if wanted.image_size else _with_size(wanted, declared.image_size)
        return _of_file(Path(declared.path), sized, otherwise, say, stated)
    if declared is not None:
        raise UserError(f"{named}: is a teacher of kind {declared.kind}; name the checkpoint of a job instead")
    if path.is_dir():
        return _of_hub_folder(path, wanted)
    if path.is_file():
        return _of_file(path, wanted, otherwise, say)
    if is_timm:
        return _of_timm(named, weights or "hub", wanted)
    raise UserError(
        f"{named}: is neither a file, nor a folder in the form of timm's hub, nor a network of timm {timm.__version__}, nor a teacher of "
        "params.yaml; correct the name"
    )


def _with_size(wanted: Wanted, image_size: int) -> Wanted:
    return Wanted(image_size, wanted.mean, wanted.std, wanted.crop_pct, wanted.interpolation)


def _of_file(path: Path, wanted: Wanted, otherwise: Normalisation, say: Say, stated: Stated | None = None) -> Subject:
    """A checkpoint of ours, or a file of a published layout."""
    weights, about = checkpoint.load(path) if checkpoint.is_ours(path) else take_over(path, stated=stated or Stated(), say=say)
    network, form = as_timm(weights, about, str(path))
    if wanted.image_size is not None and wanted.image_size != form.image_size:
        patch = int(form.arguments["patch_size"])
        if wanted.image_size % patch:
            raise UserError(f"--image-size is {wanted.image_size}: must be a multiple of the patch size of {path}, {patch}")
        filled = resize_to_grid(timm_weights(weights, about), wanted.image_size // patch)
        form = timm_form({**about, "image_size": wanted.image_size}, filled)
        network = form.build()
        network.load_state_dict(filled)
    config = hub_config(form, about, statistics_of(about, otherwise))
    prepared = resolve_data_config(wanted.overrides, config["pretrained_cfg"])
    is_classifier = about["kind"] == "classifier"
    outputs, names = (len(about["classes"]), list(about["classes"])) if is_classifier else (0, None)
    as_measured = prepared["interpolation"] == "bicubic"
    return _subject(network, str(path), outputs, names, prepared, about.get("pooling", "average"), [path], as_measured)


def _of_hub_folder(folder: Path, wanted: Wanted) -> Subject:
    """A folder with `config.json` and weights, as `dbot export` and timm write it."""
    if not (folder / HUB_CONFIG).is_file():
        raise UserError(f"{folder}: is a folder without {HUB_CONFIG}, so not in the form of timm's hub; name a checkpoint in it")
    files = [file for name in ("model.safetensors", "pytorch_model.bin") if (file := folder / name).is_file()]
    if not files:
        raise UserError(f"{folder}: holds neither model.safetensors nor pytorch_model.bin; complete it")
    read_tensors(files[0])  # as data, before anything else opens it
    sized = {} if wanted.image_size is None else {"img_size": wanted.image_size}
    try:
        try:
            network = timm.create_model(f"{LOCAL}{folder}", pretrained=True, **sized)
        except TypeError:
            network = timm.create_model(f"{LOCAL}{folder}", pretrained=True)
    except Exception as error:  # noqa: BLE001 (whatever a folder makes timm raise)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{folder}: timm can't load it ({reason[:160]}); write it anew, with `dbot export` or timm") from None
    return _built_by_timm(network, str(folder), wanted, files[:1])


def _of_timm(name: str, weights: str, wanted: Wanted) -> Subject:
    """A network of timm's registry; of a file it has as many outputs as the file's classifier."""
    options: dict[str, Any] = {}
    files = []
    if weights == "random":
        torch.manual_seed(SEED)
    elif weights != "hub" and timm.is_model(name) and Path(weights).is_file():
        files = [Path(weights)]
        tensors = read_tensors(files[0])
        cfg = timm.get_pretrained_cfg(name)
        heads = cfg.classifier if cfg is not None else None
        head = tensors.get(f"{heads[0] if isinstance(heads, list | tuple) else heads}.weight")
        count = 0 if head is None else len(head)
        options = {"num_classes": count, "pretrained_cfg_overlay": {"num_classes": count}}
    network = timm_network(name, weights, name, wanted.image_size, **options)
    return _built_by_timm(network, name, wanted, files)


def _built_by_timm(network: Any, title: str, wanted: Wanted, files: list[Path]) -> Subject:
    prepared = resolve_data_config(wanted.overrides, model=network, use_test_size=True)
    names = network.pretrained_cfg.get("label_names")
    pooling: Pooling = "class_token" if getattr(network, "global_pool", "avg") == "token" else "average"
    outputs = int(network.num_classes)
    named = list(names) if names is not None and len(names) == outputs else None
    return _subject(network, title, outputs, named, prepared, pooling, files)


def _of_package(named: str, declared: PackageTeacher, wanted: Wanted) -> Subject:
    """The whole network of a package, of which a teacher is a part."""
    network = package_network(declared).eval()
    size = wanted.image_size or declared.image_size
    own = {"input_size": (3, size, size), "mean": tuple(declared.mean), "std": tuple(declared.std)}
    prepared = resolve_data_config(wanted.overrides, own)
    try:
        with torch.no_grad():
            found = network(torch.zeros(1, 3, size, size))
    except Exception as error:  # noqa: BLE001 (whatever the foreign network raises)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{named}: can't be run on images of {size} px ({reason}); say --image-size") from None
    outputs = found.shape[1] if isinstance(found, Tensor) and found.ndim == 2 else 0
    weights = [Path(declared.weights)] if declared.weights is not None and Path(declared.weights).is_file() else []
    return _subject(network, named, outputs, None, prepared, "average", weights)


def _subject(
    network: nn.Module,
    title: str,
    outputs: int,
    names: list[str] | None,
    prepared: Mapping[str, Any],
    pooling: Pooling,
    files: list[Path],
    as_evaluated: bool = False,
) -> Subject:
    """A subject.

    Args:
        network: normalised pixels to logits.
        title: what messages call it.
        outputs: of its classifier.
        names: of the outputs.
        prepared: how images are prepared, as timm resolved it.
        pooling: what stands for an image.
        files: that its weights came from.
        as_evaluated: whether images are resized as `dbot evaluate` resizes them; else as timm does, with Pillow.
    """
    size = int(prepared["input_size"][-1])
    statistics = Normalisation(mean=list(prepared["mean"]), std=list(prepared["std"]))
    transform = evaluation_transform(size, 1 / prepared["crop_pct"]) if as_evaluated else _by_timm(prepared)
    return Subject(network.eval().requires_grad_(False), title, outputs, names, size, statistics, transform, prepared, pooling, files)


def _by_timm(prepared: Mapping[str, Any]) -> Transform:
    pillow = create_transform(**prepared, is_training=False, use_prefetcher=True)
    return lambda image: torch.as_tensor(pillow(to_pil_image(image)))


def classifier_subject(
    network: nn.Module, title: str, names: list[str], size: int, resize: float, statistics: Normalisation, pooling: Pooling = "average"
) -> Subject:
    """A classifier of ours, its images prepared as its evaluation does it.

    Args:
        network: normalised pixels to logits.
        title: what messages call it.
        names: of its outputs.
        size: side of its images, in pixels.
        resize: short side before the central crop, over the crop's.
        statistics: of pixels, those that it was trained with.
        pooling: what stands for an image.
    """
    wanted = {"input_size": (3, size, size), "crop_pct": 1 / resize, "interpolation": "bicubic"}
    prepared = resolve_data_config({**wanted, "mean": tuple(statistics.mean), "std": tuple(statistics.std)})
    return _subject(network, title, len(names), names, prepared, pooling, [], as_evaluated=True)


def whole_image(size: int) -> Transform:
    """An image as a whole as a square of that side, in pixels: resized as timm does it (bicubic), whatever its shape."""
    return _by_timm({"input_size": (3, size, size), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash"})


def squashed(subject: Subject) -> Transform:
    """An image as a whole at the network's size, for those that come cropped: of that size already they stay as they are."""
    return _by_timm({**subject.prepared, "crop_pct": 1.0, "crop_mode": "squash"})


def parameters(subject: Subject) -> int:
    """How many weights the network has."""
    return sum(math.prod(weight.shape) for weight in subject.network.parameters())
