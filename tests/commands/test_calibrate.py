"""`dbot calibrate` measures every kind of training, and the forecast takes it up."""

from pathlib import Path

import pytest

from dbot import cli
from dbot.forecast import calibration
from dbot.forecast.calibration import Basis
from dbot.forecast.forecast import forecast
from dbot.params.load import load
from dbot.plan import Plan
from tests.params_text import params_text


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(params_text())
    monkeypatch.chdir(tmp_path)


def test_a_row_is_measured_and_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "row_B-L", "--seconds", "0.01"]) == 0
    said = capsys.readouterr().out.splitlines()
    plan = Plan(load(scale="demo"))
    measured = calibration.read(calibration.place("demo")).measured
    jobs = ["distill/L-L/stage1", "distill/L-L/stage2", "distill/B-L/stage1"]
    jobs += [f"{verb}/B-L/seed0" for verb in ("finetune", "detect", "segment")]
    assert [one.job for one in measured] == jobs
    assert [line.split(":")[0] for line in said[:-1]] == jobs
    assert all(one.images_per_second > 0 and one.flops_per_image > 0 for one in measured)
    found = forecast(plan, plan.cells(["B-L"]))
    assert found.total.known_from == [Basis.CALIBRATED, Basis.UNKNOWN]
    assert found.calibration.devices == ["cpu"]

    assert cli.main(["calibrate", "row_B-B", "--seconds", "0.01"]) == 0  # adds to it; what both train alike is renewed
    assert {one.job for one in calibration.read(calibration.place("demo")).measured} >= {*jobs[:3], "distill/B-B/stage1"}


def test_the_dense_columns_and_teachers_from_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("rows: [B-B, B-L, B-H, B-CLIP,", "rows: [B-CLIP] #", 1))
    assert cli.main(["calibrate", "column_det", "column_seg", "--seconds", "0.01"]) == 0
    measured = {one.job: one for one in calibration.read(calibration.place("demo")).measured}
    verbs = {one.verb for one in measured.values()}
    assert verbs == {"distill", "detect", "segment"}
    assert any(one.left_out == ["teacher clip-B"] for one in measured.values())


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--seconds", "0"], "--seconds is 0: must be more than 0"), (["row_X"], "there is no target 'row_X'; targets are: all, table")],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    assert cli.main(["calibrate", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"dbot calibrate: {said}")
    assert not Path("results").exists()


def test_without_any_training_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from dbot.commands.rehearsal import Rehearsal

    def fail(self: Rehearsal, job: object) -> None:
        raise MemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    monkeypatch.setattr(Rehearsal, "task", fail)
    assert cli.main(["calibrate", "row_B-B"]) == 2
    heard = capsys.readouterr()
    assert "distill/B-B/stage1: not measured (CUDA out of memory." in heard.out
    assert heard.err == "dbot calibrate: no kind of training could be measured; the lines above say why\n"
