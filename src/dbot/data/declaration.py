"""A declaration of a data set as text, with all that was found out about it: to be pasted into params.yaml."""

from typing import Any

import yaml

from dbot.data.layouts.listing import PARTS
from dbot.data.manifest import Manifest
from dbot.params.datasets import Dataset

USUAL = ("layouts", "train", "validation", "classes", "licence", "source", "check")
"""What a complete declaration says, beside title and root."""


def completed(name: str, dataset: Dataset, found: Dataset, manifest: Manifest) -> str:
    """The complete declaration, or nothing where the one that was given lacks nothing.

    Args:
        name: of the set.
        dataset: as it was declared.
        found: the same with layouts and folders as they were found.
        manifest: what was prepared.
    """
    apart = ("train", "validation") if manifest.layout == "images" else ()
    if all(field in dataset.model_fields_set for field in USUAL if field not in apart):
        return ""
    said: dict[str, Any] = {"title": found.title, "layouts": [manifest.layout], "root": found.root}
    whole = dataset.limit is None and not (manifest.unreadable or manifest.defects)
    for part in PARTS:
        if part in found.model_fields_set or part not in apart:
            said[part] = getattr(found, part).model_dump(exclude_none=True) | ({"count": manifest.counts[part]} if whole else {})
    said["classes"] = len(manifest.classes) or None
    said |= {"licence": found.licence, "source": found.source, "check": found.check.model_dump()}
    others = found.model_fields_set - {"title", "root", *USUAL}
    if manifest.label_maps is not None:
        found, others = found.model_copy(update={"label_maps": manifest.label_maps}), others | {"label_maps"}
    said |= {field: value for field, value in found.model_dump(include=others).items() if value is not None}
    lines = [f"    {field}: {_flow(value)}" for field, value in said.items()]
    return "\n".join(["datasets:", f"  {name}:", *lines])


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
