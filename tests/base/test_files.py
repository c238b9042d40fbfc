from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.base.files import as_output, whole_folder


def test_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_folder(tmp_path / "set", "OURS") as folder:
            (folder / "a").write_text(content)
            assert not (tmp_path / "set" / "a").exists() or (tmp_path / "set" / "a").read_text() == "old"
    assert (tmp_path / "set" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_a_killed_attempt_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".set.part").mkdir()
    (tmp_path / ".set.part" / "half").write_text("")
    with whole_folder(tmp_path / "set", "OURS") as folder:
        (folder / "a").write_text("")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["OURS", "a"]


def test_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "set", "OURS") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(ValueError, match="oh"), whole_folder(tmp_path / "set", "OURS"):
        raise ValueError("oh")
    assert (tmp_path / "set" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="was not written by this command"), whole_folder(tmp_path / "set", "OURS"):
        pass
    assert (tmp_path / "set" / "thesis.tex").read_text() == "years of work"


def test_empty_folder_may_be_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with whole_folder(tmp_path / "set", "OURS"):
        pass
    assert (tmp_path / "set" / "OURS").is_file()


def test_an_output_goes_to_where_a_link_leads_and_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.csv").symlink_to("there/table.csv")
    assert as_output(tmp_path / "link.csv") == tmp_path / "there/table.csv"
    assert as_output(tmp_path / "new/deep/table.csv") == tmp_path / "new/deep/table.csv"
    assert as_output(tmp_path / "there") == tmp_path / "there"
    with pytest.raises(UserError, match="there: is a folder, where a file is to be written; name a file"):
        as_output(tmp_path / "there", is_file=True)
    assert not (tmp_path / "new").exists()
