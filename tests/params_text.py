"""The project's parameters as the text of one file, for tests that change a figure, wherever the project keeps it."""

import re
from pathlib import Path

import yaml

from dbot.params.document import Params

PROJECT = Path(__file__).parents[1]


def params_text() -> str:
    """params.yaml with the sections of what it includes in place of `include`."""
    top = (PROJECT / "params.yaml").read_text()
    files = [top, *((PROJECT / name).read_text() for name in yaml.safe_load(top)["include"])]
    sections = [re.split(r"\n(?=\w+:)", f"\n{text}")[1:] for text in files]
    found: dict[str, str] = {}
    for section in (section for of_file in sections for section in of_file):
        name, body = section.split(":", 1)
        # A section that several files have goes on below its first line.
        found[name] = found[name] + body.split("\n", 1)[1] if name in found else f"{name}:{body}"
        found[name] = found[name].rstrip("\n") + "\n"
    return "\n".join(found[name] for name in Params.model_fields if name in found and name != "include")
