"""`dbot replay` after a real training that went wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbot.cli import main
from tests.e2e.project import lay

STEEP = {
    "recipes": {
        "pretrain": {
            "asymmetric": {"epochs": 2, "warmup_epochs": 1, "batch_size": 4},
            # Weights of 1e29 after the second step; their squares are beyond float32.
            "asymmetric-B": {"optimizer": {"learning_rate": 1e30}},
        }
    },
    "execution": {"mlflow": False, "state_every_seconds": 0.001},
}


@pytest.fixture
def change(project: Path) -> Callable[[dict[str, Any]], None]:
    """Lays overrides on the demo scale."""

    def laid(overrides: dict[str, Any]) -> None:
        file = project / "params.yaml"
        document = yaml.safe_load(file.read_text())
        lay(document["scales"]["demo"]["overrides"], overrides)
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    return laid


@pytest.mark.usefixtures("one_thread")
def test_a_step_that_went_wrong_is_looked_at(
    project: Path, change: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    change(STEEP)
    for verb in ("generate", "prepare"):
        assert main([verb, "--dataset", "digits"]) == 0
    assert main(["distill", "--row", "B-B", "--stage", "1"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    found = re.search(r"stopped being finite in step (\d+) of 10; .*; `dbot replay (state/\S+)` does the step again", said)
    assert found is not None, said
    incident = Path(found[2])

    before = {path: path.read_bytes() for path in incident.parent.iterdir()}
    assert main(["replay", str(incident)]) == 0
    out = capsys.readouterr().out
    assert f"step {found[1]} (epoch 1), replayed from the state in {incident.parent}/pinned-step-" in out
    assert re.search(r"^  loss (nan|inf)$", out, re.MULTILINE)
    assert re.search(r"^  first module with an output that is not finite: \w+\.", out, re.MULTILINE)
    assert "weights before the step: all finite" in out
    images = re.findall(r"^ +\d+  (\S+\.png)$", out, re.MULTILINE)
    assert len(images) == 4
    assert all((project / "data/digits" / image).is_file() for image in images)
    assert {path: path.read_bytes() for path in incident.parent.iterdir()} == before, "a replay writes nothing"

    change({"recipes": {"pretrain": {"asymmetric": {"mask_ratio": 0.5}}}})
    assert main(["replay", str(incident)]) == 2
    assert "is of other parameters or inputs than distill/B-B/stage1 now has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read (No such file or directory)"),
        ("{", "is not the record of an incident"),
        ('{"verb": "os"}', "is not the record of an incident"),
    ],
)
def test_what_is_no_incident_is_one_line(project: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str) -> None:
    if content is not None:
        Path("incident.json").write_text(content)
    assert main(["replay", "incident.json"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
