"""The front door: what a person sees who knows nothing yet, or mistypes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dbot import __version__, cli
from dbot.jobs.kind import kinds
from tests.conftest import PROJECT
from tests.params_text import params_text


def dbot(*arguments: str, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dbot", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert cli.main([flag]) == 0
    said = capsys.readouterr().out
    for verb, purpose in {**{name: kind.title for name, kind in kinds().items()}, **cli.VIEWS, **cli.OTHERS}.items():
        assert f"  {verb}" in said
        assert purpose in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dbot {__version__}\n"


def test_an_unknown_verb_is_one_line_and_status_2() -> None:
    done = dbot("distil")
    assert done.returncode == 2
    assert done.stderr == "dbot: there is no verb 'distil'; did you mean 'distill'? `dbot --help` lists them\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["params", "--row", "B-X"], "dbot params: params.yaml: there is no 'B-X' under `rows`; declared are: B-B, "),
        (["params", "mask_ratio"], "dbot params: params.yaml: mask_ratio is not a key; near are: recipes.pretrain.asymmetric.mask_ratio, "),
        (["params", "build", "--scale", "paper"], "dbot params: KEY 'build' is explained at every scale; leave out --row and --scale"),
        (["params", "--scale", "huge"], "dbot params: params.yaml: scale is 'huge': there is no scale of that name; declared"),
        (["params", "--scale", ""], "dbot params: params.yaml: scale is '': there is no scale of that name; declared"),
        (["params", "--params", "nowhere.yaml"], "dbot params: nowhere.yaml: cannot be read (No such file or directory); run dbot in"),
        (["table", "--output", "table.txt"], "dbot table: --output is table.txt: its name must end in .csv;"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], said: str) -> None:
    done = dbot(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_several_mistakes_are_a_line_each(tmp_path: Path) -> None:
    text = params_text()
    (tmp_path / "params.yaml").write_text(text.replace("seeds: [0]", "seeds: []", 1).replace("non_finite: stop", "non_finite: go", 1))
    done = dbot("params", folder=tmp_path)
    assert done.returncode == 2
    assert [line.split(" ")[:2] for line in done.stderr.splitlines()] == [["dbot", "params:"]] * 2


def test_a_flag_that_isn_t_there_is_status_2() -> None:
    done = dbot("params", "--rows", "B-B")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(f"{sys.executable} -m dbot params | head -1", shell=True, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("scale demo: ")
    assert done.stderr == ""


def test_params_says_where_each_value_came_from() -> None:
    lines = dbot("params", "--scale", "paper", "--row", "B-B").stdout.splitlines()
    assert lines[0] == "scale paper: what the published table used"
    text = (PROJECT / "params.yaml").read_text().splitlines()
    (width,) = [line for line in lines if line.startswith("architectures.B.width = ")]
    value, where = width.split(" = ")[1].split("    # ")
    number = int(where.split(":")[1].split(" ")[0])
    assert value == "768"
    assert where.endswith(" architectures.B.width")
    assert "width: 768" in text[number - 1]
    assert not any(line.startswith("architectures.L") for line in lines), "only what the row uses"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["params"],
        ["params", "build.rows"],
        ["completion", "bash"],
        ["status"],
        ["table"],
        ["schema", "--folder", "schema"],
        ["forecast", "--scale", "paper"],
    ],
)
def test_light_verbs_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    """What a command has loaded by its end: this keeps it quick."""
    heavy = "{'torch', 'torchvision', 'timm', 'numpy', 'mlflow', 'dvc', 'snakemake', 'sklearn', 'skimage', 'matplotlib'}"
    program = f"import sys; from dbot.cli import main; main({arguments}); print('loaded', sorted({heavy} & set(sys.modules)))"
    (tmp_path / "params.yaml").write_text(params_text())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


@pytest.mark.parametrize("verb", ["status", "forecast", "verify", "lineage"])
def test_json_is_a_flag_of_its_own(verb: str) -> None:
    assert cli.parser(verb).parse_args(["--json"]).format == "json"
    assert cli.parser(verb).parse_args([]).format == "text"


@pytest.mark.parametrize("command", ["dbot --help", "dbot params --scale paper --row B-B"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(command: str, unbuffered: str) -> None:
    program = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 20"],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_home_is_filled_in_where_the_shell_left_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text((tmp_path / "own.yaml").name + ": 1\n")
    arguments = cli._with_paths(cli.parser("params").parse_args(["--params=~/own.yaml"]))
    assert arguments.params == tmp_path / "own.yaml"


def test_paths_that_are_not_utf8_are_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["embed", "ours.safetensors", os.fsdecode(b"photos\xff"), "--output", "x.npz"]) == 2
    assert "folder is 'photos\\udcff': holds bytes that are not UTF-8; rename it" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_status_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dbot.commands.params.run", interrupted)
    assert cli.main(["params"]) == 130
    assert capsys.readouterr().err == "dbot params: interrupted\n"


def test_parameters_of_another_project_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["status", "--params", str(PROJECT / "params.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"dbot status: {PROJECT}/params.yaml: belongs to {PROJECT}, and results would be those of {tmp_path}; "
        f"run this there: cd {PROJECT}\n"
    )


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("pipe.npz", "is a device, a pipe or the like"),
        ("/proc/x.npz", "can't be written, /proc takes no file"),
        ("a file/x.npz", "takes no file"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.npz")
    Path("a file").touch()
    assert cli.main(["embed", "ours.safetensors", "photos", "--output", output]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
