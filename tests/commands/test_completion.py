"""Tab in a shell: verbs, flags, and the names that params.yaml declares."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dbot.cli import main
from tests.conftest import PROJECT

PROGRAMS = Path(sys.executable).parent
TAB = 'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _shtab_dbot; printf "%s\\n" "${{COMPREPLY[@]}}"'


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "dbot.bash"
    done = subprocess.run([sys.executable, "-m", "dbot", "completion", "bash"], cwd=PROJECT, capture_output=True, text=True, check=True)
    path.write_text(done.stdout)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("dbot ver", {"verify"}),
        ("dbot evaluate --column ''", {"cls", "det", "seg"}),
        ("dbot distill --row H448-", {"H448-H", "H448-CLIP", "H448-scratch", "H448-symmetric-scratch"}),
        ("dbot forecast --scale ''", {"paper", "released", "released-demo", "demo", "demo-seeds", "single-gpu"}),
        ("dbot lineage L-L/", {"L-L/cls", "L-L/det", "L-L/seg"}),
        ("dbot status --js", {"--json"}),
    ],
)
def test_tab_offers_what_fits(script: Path, words: str, offered: set[str]) -> None:
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT / "src")}
    line = f"source {script}; {TAB.format(words=words)}"
    done = subprocess.run(["bash", "-c", line], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


def test_zsh_has_a_script_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(PROJECT)
    assert main(["completion", "zsh"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("#compdef dbot")
    assert "_dbot_rows()" in said
