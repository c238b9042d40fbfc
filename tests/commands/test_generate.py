from pathlib import Path

import pytest

from dbot.cli import main
from dbot.lineage import receipt as receipts

RECEIPT = Path("results/demo/generate/digits/receipt.json")


def test_digits_are_drawn_and_the_receipt_names_them(project: Path) -> None:
    assert main(["generate", "--scale", "demo", "--dataset", "digits", "--receipt", str(RECEIPT)]) == 0
    found = receipts.read(RECEIPT)
    assert found.results["train"] == 20
    assert len(list((project / "data/digits").rglob("*.png"))) == 30
    receipts.verified(RECEIPT.parent, "files.tsv", found.artifacts["files.tsv"])


def test_drawn_again_the_receipt_has_the_same_id(project: Path) -> None:
    ids = []
    for _ in range(2):
        assert main(["generate", "--scale", "demo", "--dataset", "digits"]) == 0
        ids.append(receipts.read(RECEIPT).id)
    assert ids[0] == ids[1]


def test_folder_of_somebody_else_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data/digits").mkdir(parents=True)
    (project / "data/digits/mine.txt").write_text("")
    assert main(["generate", "--scale", "demo", "--dataset", "digits"]) == 2
    assert "data/digits: exists" in capsys.readouterr().err
    assert (project / "data/digits/mine.txt").is_file()


@pytest.mark.parametrize(("flags", "said"), [(["--dataset", "cifar10"], "get it from"), (["--dataset", "nope"], "declared are")])
def test_what_cannot_be_drawn_is_explained(project: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    assert main(["generate", *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_receipt_goes_nowhere_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--dataset", "digits", "--receipt", "elsewhere.json"]) == 2
    assert "--receipt is elsewhere.json: that of generate/digits goes to results/demo/" in capsys.readouterr().err
    assert not (project / "data").exists(), "nothing was done"
    assert main(["generate", "--dataset", "digits", "--receipt", str(project / RECEIPT)]) == 0, "however it is named"


def test_results_on_another_disk_are_refused_before_any_work(
    project: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    (project / "results").symlink_to(scratch)
    assert main(["generate", "--dataset", "digits"]) == 2
    assert capsys.readouterr().err.startswith(
        f"dbot generate: results: is a link to {scratch}, and DVC keeps nothing outside of the project: "
    )
    assert not (project / "data").exists()
    assert not list(scratch.iterdir())
