"""Bundles go to a hub and to Zenodo, and come back: cut off in their midst, they go on, and nothing is sent twice."""

import random
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml

from dbot.base.digest import file_digest
from dbot.cli import main
from dbot.lineage.judge import Judge
from dbot.publish import bundle as bundles
from dbot.publish import zenodo as deposits
from tests.fakes import FakeProject
from tests.publish.published import at
from tests.publish.servers import Hub, Zenodo, serving

Say = pytest.CaptureFixture[str]
STUDENT = "results/demo/distill/B-B/stage2/student.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Speaks the interface of git's large files, as the hub does for those without its own storage's library."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with serving(Hub) as server:
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    """Takes no more than 400 kB of files in a zip, so that a bundle has several."""
    monkeypatch.setattr(deposits, "PART_BYTES", 400_000)
    with serving(Zenodo) as server:
        monkeypatch.setenv("ZENODO_TOKEN", server.token)
        yield server


def holds(plan_of: FakeProject) -> bool:
    plan = plan_of.plan
    return not Judge().to_do(plan, [plan.evaluate("B-B", "cls", "0")])


def files_with(secret: str, *folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_zenodo_cut_off_goes_on_and_comes_back(zenodo: Zenodo, finished: FakeProject, elsewhere: FakeProject, capsys: Say) -> None:
    publish = ["publish", "B-B", "--to", "zenodo://", "--endpoint", zenodo.url]
    zenodo.fuse = 2
    with at(finished.folder):
        assert main(publish) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "zenodo: was cut off" in said
        assert len(zenodo.deposits[100]) == 2
        zenodo.fuse = None
        assert main(publish) == 0
        assert "DOI 10.5072/zenodo.100 reserved" in capsys.readouterr().out
        assert list(zenodo.deposits) == [100], "one deposit"
        assert set(zenodo.sent.values()) == {1}, "nothing twice"
        assert zenodo.published == set(), "a draft, until it is confirmed"
        assert main([*publish, "--confirm"]) == 0
    assert zenodo.published == {100}
    assert set(zenodo.sent.values()) == {1}
    assert zenodo.metadata[100]["upload_type"] == "dataset"
    zips = [name for name in zenodo.deposits[100] if name.endswith(".zip")]
    assert len(zips) > 2
    assert files_with(zenodo.token, finished.folder) == []
    assert not any(zenodo.token in line.partition("{")[0] for line in zenodo.said), "the token stands in no address"
    zenodo.sent.clear()
    zenodo.fuse = 1
    restore = ["restore", "doi:10.5072/zenodo.100", "--endpoint", zenodo.url]
    assert main(restore) == 2
    assert "was cut off" in capsys.readouterr().err
    assert not Path("results").exists()
    zenodo.fuse = None
    assert main(restore) == 0
    assert {name: zenodo.sent[name] for name in zips} == dict.fromkeys(zips, 1)
    assert holds(elsewhere)
    assert file_digest(Path(STUDENT)) == file_digest(finished.folder / STUDENT)
    assert not Path("state/restore").exists()


def in_the_end(command: list[str], say: Say) -> int:
    """Run a command until it succeeds; how often it was cut off before, each time with one line."""
    for attempt in range(100):
        if main(command) == 0:
            return attempt
        said = say.readouterr().err
        assert said.count("\n") == 1
        assert "run this again" in said
    raise AssertionError("it does not come to an end")


def test_zenodo_cut_off_at_random_is_complete_in_the_end_and_has_nothing_twice(
    zenodo: Zenodo, finished: FakeProject, elsewhere: FakeProject, capsys: Say
) -> None:
    """Where the answer is lost to what has arrived, too."""
    zenodo.dice = random.Random(1)
    with at(finished.folder):
        assert in_the_end(["publish", "B-B/cls", "--to", "zenodo://", "--endpoint", zenodo.url], capsys) > 0
        assert main(["publish", "B-B/cls", "--to", "zenodo://", "--endpoint", zenodo.url, "--confirm"]) == 0
    assert list(zenodo.deposits) == [100]
    assert set(zenodo.sent) == set(zenodo.deposits[100])
    assert set(zenodo.sent.values()) == {1}
    zenodo.sent.clear()
    in_the_end(["restore", "doi:10.5072/zenodo.100", "--endpoint", zenodo.url], capsys)
    assert set(zenodo.sent.values()) == {1}
    assert holds(elsewhere)


def test_the_hub_cut_off_at_random_is_complete_in_the_end_and_has_nothing_twice(
    hub: Hub, finished: FakeProject, elsewhere: FakeProject, capsys: Say
) -> None:
    hub.dice = random.Random(3)
    with at(finished.folder):
        in_the_end(["publish", "B-B/cls", "--to", "hf://someone/results", "--endpoint", hub.url], capsys)
    assert len(hub.repos["someone/results"]) == 2, "one commit"
    assert set(hub.sent.values()) == {1}
    assert set(hub.sent) > set(hub.large)
    hub.sent.clear()
    in_the_end(["restore", "hf://someone/results", "--endpoint", hub.url], capsys)
    assert set(hub.sent.values()) == {1}
    assert holds(elsewhere)


def test_the_doi_stands_in_the_bundle(zenodo: Zenodo, finished: FakeProject, tmp_path: Path) -> None:
    with at(finished.folder):
        assert main(["publish", "L-L", "--to", "zenodo://", "--endpoint", zenodo.url]) == 0
    for name, content in zenodo.deposits[100].items():
        (tmp_path / name).write_bytes(content)
    first = next(name for name in sorted(zenodo.deposits[100]) if name.endswith(".zip"))
    with bundles.opened(tmp_path / first, tmp_path / "room") as folder:
        assert bundles.read(folder).doi == "10.5072/zenodo.100"
        assert yaml.safe_load((folder / "CITATION.cff").read_text())["doi"] == "10.5072/zenodo.100"
        assert "https://doi.org/10.5072/zenodo.100" in (folder / "README.md").read_text()


def test_a_draft_that_was_discarded_is_said_to_be(zenodo: Zenodo, finished: FakeProject, capsys: Say) -> None:
    publish = ["publish", "L-L", "--to", "zenodo://", "--endpoint", zenodo.url]
    zenodo.fuse = 0
    with at(finished.folder):
        assert main(publish) == 2
        zenodo.deposits.clear()
        capsys.readouterr()
        assert main(publish) == 2
        assert "zenodo: deposit 100 is not there (any more); delete state/publish/zenodo-demo-" in capsys.readouterr().err


def test_an_upload_goes_on_with_its_own_deposit_alone() -> None:
    asked = [("demo", ["evaluate/B-B/cls/seed0"], "https://zenodo.org"), ("demo", ["evaluate/B-B/cls/seed1"], "https://zenodo.org")]
    asked += [("paper", *asked[0][1:]), (*asked[0][:2], "https://sandbox.zenodo.org")]
    assert len({deposits.attempt(*each) for each in asked}) == len(asked)


def test_zenodo_says_what_is_wrong(zenodo: Zenodo, finished: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: Say) -> None:
    publish = ["publish", "B-B/cls/seed0", "--to", "zenodo://", "--endpoint", zenodo.url]
    with at(finished.folder):
        for token, said in (("wrong", "refused with status 403 (Permission denied.); see to ZENODO_TOKEN"), (None, "is not set")):
            monkeypatch.delenv("ZENODO_TOKEN")
            if token is not None:
                monkeypatch.setenv("ZENODO_TOKEN", token)
            assert main(publish) == 2
            assert said in capsys.readouterr().err
            monkeypatch.setenv("ZENODO_TOKEN", zenodo.token)
        assert main([*publish[:3], "zenodo://x"]) == 2
    assert main(["restore", "doi:10.1000/182"]) == 2
    assert "is no DOI of Zenodo's" in capsys.readouterr().err
    assert main(["restore", "doi:10.5281/zenodo.7", "--endpoint", zenodo.url]) == 2
    assert "refused with status 404" in capsys.readouterr().err


def test_the_hub_cut_off_goes_on_and_comes_back(hub: Hub, finished: FakeProject, elsewhere: FakeProject, capsys: Say) -> None:
    publish = ["publish", "B-B", "--to", "hf://someone/results", "--endpoint", hub.url]
    hub.fuse = 3
    with at(finished.folder):
        assert main(publish) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "hf://someone/results: " in said
        assert hub.large, "some large files were there already"
        assert len(hub.repos["someone/results"]) == 1, "nothing half is shown"
        hub.fuse = None
        assert main(publish) == 0
        first = capsys.readouterr().out.split("commit ")[1].split()[0]
        assert main(publish) == 0
    assert set(hub.sent.values()) == {1}, "nothing twice"
    assert len(hub.repos["someone/results"]) == 2, "one commit; the third time there was nothing to do"
    lying = hub.repos["someone/results"][-1]
    assert {"README.md", "config.json", "model.safetensors", "bundle.json", "ro-crate-metadata.json"} <= lying.keys()
    assert ".dbot-bundle" not in lying
    assert files_with(hub.token, finished.folder) == []
    assert hub.cards[-1].startswith("---\nlibrary_name: timm\n")
    hub.sent.clear()
    restore = ["restore", f"hf://someone/results@{first}", "--endpoint", hub.url]
    assert main(restore) == 0
    assert set(hub.sent.values()) == {1}
    assert holds(elsewhere)
    assert file_digest(Path(STUDENT)) == file_digest(finished.folder / STUDENT)


def test_the_hub_holds_what_was_published_last(hub: Hub, finished: FakeProject) -> None:
    with at(finished.folder):
        for row in ("L-L", "B-B"):
            assert main(["publish", row, "--to", "hf://someone/one", "--endpoint", hub.url]) == 0
    lying = hub.repos["someone/one"][-1]
    assert not [name for name in lying if "L-L" in name]
    assert ".gitattributes" in lying


def test_the_hub_says_what_is_wrong(hub: Hub, finished: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: Say) -> None:
    with at(finished.folder):
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        assert main(["publish", "B-B/cls/seed0", "--to", "hf://someone/x", "--endpoint", hub.url]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("dbot publish: hf://someone/x: ")
        assert main(["publish", "B-B/cls/seed0", "--to", "hf://x"]) == 2
        assert "name a repository as hf://NAMESPACE/NAME" in capsys.readouterr().err
    assert main(["restore", "hf://someone/nothing", "--endpoint", hub.url]) == 2
    assert capsys.readouterr().err.count("\n") == 1
