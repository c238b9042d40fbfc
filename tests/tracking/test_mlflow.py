"""The live feed and the sync, on SQLite stores of their own."""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.jobs.evaluate import GALLERY
from dbot.lineage import executions
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Execution, execution_of
from dbot.lineage.receipt import Receipt
from dbot.lineage.session import Session
from dbot.plan import Job
from dbot.tracking import address, runs
from dbot.tracking.address import Patience, tracking_uri
from dbot.tracking.mlflow import Feed, Synced, check_runs, sync
from dbot.tracking.store import Store
from tests import fakes
from tests.fakes import HISTORY, FakeProject, sealed_anew

DEAD = "http://127.0.0.1:9"


def done(project: FakeProject, job: Job, meanwhile: Callable[[Session], None] | None = None) -> tuple[Receipt, Execution]:
    """Do a job; its receipt, and the execution that ended in it."""
    receipt = project.run(job, meanwhile)
    return receipt, execution_of(job.receipt, receipt.id)


def everything() -> dict[str, Any]:
    """All that a store holds, by run name."""
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("dbot/demo")
    assert experiment is not None
    there = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in there}) == len(there), "two runs have one name"
    return {
        run.info.run_name: {
            "status": run.info.status,
            "params": run.data.params,
            "tags": run.data.tags,
            "points": sorted(
                (name, p.step, p.value) for name in run.data.metrics for p in client.get_metric_history(run.info.run_id, name)
            ),
            "data": [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs],
            "id": run.info.run_id,
        }
        for run in there
    }


def test_a_dead_server_costs_one_line(project: FakeProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD.replace("//", "//me:secret@"))
    job = project.plan.generate("digits")
    drawn = random.getstate()
    feed = Feed(job, "e" * 32, enabled=True)
    feed.log(HISTORY[:1])
    feed.log(HISTORY)
    feed.complete(*done(project, job), HISTORY)
    assert random.getstate() == drawn
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"MLflow at {DEAD} does not answer")
    assert err.endswith("training goes on; `dbot sync` completes it later\n")
    assert err.count("\n") == 1
    assert "secret" not in err
    with pytest.raises(UserError, match=f"MLflow at {DEAD} does not answer"):
        sync(project.plan)


def test_trouble_with_a_file_of_ours_is_not_blamed_on_mlflow(stored: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    stored.run_chain(stored.plan.prepare("digits"))
    lock = Path("state/mlflow.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir(parents=True)
    assert main(["sync"]) == 2
    assert capsys.readouterr().err == (
        "dbot sync: state/mlflow.lock: is a directory; a folder lies where a file should: move it away, and run this again\n"
    )


def test_a_broken_database_costs_one_line(project: FakeProject, capfd: pytest.CaptureFixture[str]) -> None:
    Path("mlflow.db").write_bytes(b"no database" * 100)
    Feed(project.plan.generate("digits"), "e" * 32, enabled=True).log(HISTORY)
    assert capfd.readouterr().err.count("\n") == 1


def test_an_experiment_that_was_deleted_comes_back_with_its_runs(stored: FakeProject) -> None:
    stored.run_chain(stored.plan.prepare("digits"))
    sync(stored.plan)
    before = everything()
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("dbot/demo")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    assert check_runs([stored.plan.prepare("digits")]).same == 0
    assert sync(stored.plan).completed == 0
    assert everything() == before
    assert sync(stored.plan).completed == 0


def test_a_parameter_that_mlflow_cuts_and_keys_in_another_order_are_no_disagreement(stored: FakeProject) -> None:
    planned = stored.plan.generate("digits")
    job = replace(planned, settings={**planned.settings, "void": list(range(3000)), "stages": [{"b": 1, "a": 2}]})
    feed = Feed(job, "e" * 32, enabled=True)
    feed.complete(*done(stored, job))
    assert check_runs([job]).same == 1
    assert sync(stored.plan).completed == 0


def test_a_database_of_another_version_is_one_line(stored: FakeProject) -> None:
    stored.run_chain(stored.plan.prepare("digits"))
    sync(stored.plan)
    with sqlite3.connect("mlflow.db") as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
    done = subprocess.run([sys.executable, "-m", "dbot", "sync"], capture_output=True, text=True, check=False)
    said = done.stderr
    assert done.returncode == 2
    assert said.count("\n") == 1
    assert "mlflow.db can't be used" in said
    assert "move that file away: `dbot sync` writes all of it anew" in said


def test_switched_off_it_touches_nothing(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    feed = Feed(job, "e" * 32, enabled=False)
    feed.log(HISTORY)
    feed.complete(*done(project, job), HISTORY)
    assert not Path("mlflow.db").exists()


def test_a_short_job_is_left_to_the_sync(stored: FakeProject) -> None:
    job = stored.plan.distill("B-B", "1")
    stored.run_chain(job.inputs["data"])
    before = Path("mlflow.db").read_bytes()
    feed = Feed(job, "e" * 32, enabled=True, after=1e6)
    feed.show()
    feed.log(HISTORY)
    feed.complete(*done(stored, job), HISTORY)
    assert Path("mlflow.db").read_bytes() == before
    sync(stored.plan)
    assert {value for name, _, value in everything()[runs.named(job)]["points"] if name == "loss"} == {1.5, 0.1 + 0.2}


def test_when_its_time_has_come_a_job_is_shown_whole(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    job, seconds = project.plan.generate("digits"), [0.0]
    with monkeypatch.context() as patch:
        patch.setattr("dbot.tracking.mlflow.time.monotonic", lambda: seconds[0])
        feed = Feed(job, "e" * 32, enabled=True, after=20)
        feed.log(HISTORY[:1])
        assert not Path("mlflow.db").exists()
        seconds[0] = 20
        feed.show()
        assert everything()[runs.named(job)]["status"] == "RUNNING"
        feed.log(HISTORY)
    assert [step for name, step, _ in everything()[runs.named(job)]["points"] if name == "loss"] == [0, 1]


def test_a_run_says_everything_and_a_sync_adds_nothing(stored: FakeProject) -> None:
    plan = stored.plan
    job = plan.distill("B-B", "1")
    stored.run_chain(job.inputs["data"])
    feeds = []

    def live(execution: Session) -> None:
        feeds.append(Feed(job, execution.name, enabled=True))
        for count in range(1, len(HISTORY) + 1):
            feeds[0].log(HISTORY[:count])

    receipt, execution = done(stored, job, live)
    feeds[0].complete(receipt, execution, HISTORY)

    found = everything()
    assert set(found) == {runs.named(job), "B-B"}
    run = found[runs.named(job)]
    assert run["status"] == "FINISHED"
    assert run["params"]["recipe.optimizer.learning_rate"] == "0.001"
    assert run["params"]["stage"] == "1"
    tags = {
        "dbot.rule": "distill",
        "dbot.row": "B-B",
        "dbot.stage": "1",
        "dbot.receipt": receipt.id,
        "dbot.execution": execution.name,
        "mlflow.parentRunId": found["B-B"]["id"],
    }
    assert tags.items() <= run["tags"].items()
    values = {(name, step): value for name, step, value in run["points"]}
    assert len(values) == len(run["points"])
    assert values["loss", 1] == 0.1 + 0.2
    assert ("top1", 0) not in values
    assert values["result/loss", 1] == 0.25
    assert "cost/device_hours" in {name for name, _ in values}
    assert run["data"] == [("digits", ("d" * 64)[:36])]

    assert sync(plan) == Synced(executions=3, completed=2)  # generate and prepare were not fed
    complete = everything()
    assert complete[runs.named(job)] == run
    assert sync(plan) == Synced(executions=3, completed=0)
    assert everything() == complete


def test_sync_completes_a_feed_that_died_midway(stored: FakeProject) -> None:
    plan = stored.plan
    job = plan.distill("B-B", "1")
    stored.run_chain(job.inputs["data"])
    stored.run(job, lambda execution: Feed(job, execution.name, enabled=True).log(HISTORY[:1]))
    before = everything()[runs.named(job)]
    assert before["status"] == "RUNNING"
    assert {step for name, step, _ in before["points"] if name == "loss"} == {0}
    assert sync(plan).completed == 3
    after = everything()[runs.named(job)]
    assert after["id"] == before["id"]
    assert after["status"] == "FINISHED"
    assert [point for point in after["points"] if point[0] == "loss"] == [("loss", 0, 1.5), ("loss", 1, 0.1 + 0.2)]
    assert sync(plan).completed == 0


def test_a_shelf_whose_maker_was_cut_off_is_finished(stored: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stored.plan.generate("digits")

    def cut_off(self: Store, *args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", cut_off)
        with pytest.raises(KeyboardInterrupt):
            Feed(job, "e" * 32, enabled=True)
    assert everything()["data"]["status"] == "RUNNING"
    stored.run(job)
    sync(stored.plan)
    assert {run["status"] for run in everything().values()} == {"FINISHED"}


def test_a_gallery_is_sent_once(stored: FakeProject) -> None:
    job = stored.plan.evaluate("B-scratch", "det", "0")
    stored.run_chain(job.inputs["model"])
    stored.run(job, lambda session: (job.folder / GALLERY).touch())
    assert sync(stored.plan).completed > 0
    left = MlflowClient(tracking_uri()).list_artifacts(everything()[runs.named(job)]["id"])
    assert [entry.path for entry in left] == ["gallery.jpg", "receipt.json"]
    assert sync(stored.plan).completed == 0


def test_a_resumed_job_goes_on_in_its_run(stored: FakeProject) -> None:
    job = stored.plan.generate("digits")
    Feed(job, "e" * 32, enabled=True).log(HISTORY[:1])
    Feed(job, "e" * 32, enabled=True).log(HISTORY)
    run = everything()[runs.named(job)]
    assert [point for point in run["points"] if point[0] == "loss"] == [("loss", 0, 1.5), ("loss", 1, 0.1 + 0.2)]


def test_of_a_job_that_ended_twice_the_last_word_counts(stored: FakeProject) -> None:
    """A workflow that was killed before it saw the first end has the job end again, with other costs."""
    job = stored.plan.distill("B-B", 1)
    for needed in stored.plan.jobs([job]):
        stored.run(needed)
    receipt, store = receipts.read(job.receipt), Store()
    execution = execution_of(job.receipt, receipt.id)
    later = sealed_anew(execution, device_hours=execution.device_hours + 1, ended="2031-05-06T07:08:09+00:00")
    first, second = (runs.finished(job, receipt, each, HISTORY) for each in (execution, later))
    assert store.complete(first)
    assert store.disagreement(second) is not None
    assert store.complete(second)
    assert store.disagreement(second) is None
    assert not store.complete(second)


def test_a_job_that_was_done_twice_has_two_runs_of_one_receipt(stored: FakeProject) -> None:
    """By two people, say. Each shows how fast its own machine went; what came out is the same."""
    job = stored.plan.generate("digits")
    receipt, first = done(stored, job)
    other = sealed_anew(first, name="f" * 32, epochs=[{"epoch": 1, "images_per_second": 40.0}])
    executions.write(other, job.receipt)
    assert sync(stored.plan) == Synced(executions=2, completed=2)
    assert sync(stored.plan) == Synced(executions=2, completed=0)
    assert check_runs([job]).same == 2
    client = MlflowClient(tracking_uri())
    found = client.search_runs([client.get_experiment_by_name("dbot/demo").experiment_id], f"tags.`dbot.receipt` = '{receipt.id}'")
    speeds = {run.data.tags["dbot.execution"]: run.data.metrics.get("images_per_second") for run in found}
    assert speeds == {first.name: None, other.name: 40.0}


def test_a_finding_that_a_parameter_or_the_last_epoch_shows_is_not_said_again(stored: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stored.plan.distill("B-B", "1")
    stored.run_chain(job.inputs["data"])
    found = {"loss": 0.1 + 0.2, "epochs": job.settings["recipe"]["epochs"], "steps": 875}
    monkeypatch.setitem(fakes.RESULTS, "distill", found)
    stored.run(job)
    sync(stored.plan)
    names = {name for name, _, _ in everything()[runs.named(job)]["points"]}
    assert names == {"loss", "learning_rate", "top1", "result/steps", "cost/device_hours"}
    assert check_runs([job]).same == 1


def test_a_description_leads_to_receipt_and_data_and_a_persons_own_stays(stored: FakeProject) -> None:
    job = stored.plan.evaluate("B-scratch", "cls", "0")
    stored.run_chain(job)
    sync(stored.plan)
    client, run = MlflowClient(tracking_uri()), everything()[runs.named(job)]
    said = run["tags"][runs.NOTE]
    assert "evaluate/B-scratch/cls/seed0 ← finetune/B-scratch/seed0 ← prepare/digits ← generate/digits" in said
    receipt = receipts.read(job.receipt)
    experiment = client.get_run(run["id"]).info.experiment_id
    assert f"[Receipt {receipt.id[:12]}](#/experiments/{experiment}/runs/{run['id']}/artifacts/receipt.json)" in said
    assert Path(client.download_artifacts(run["id"], "receipt.json")).read_bytes() == job.receipt.read_bytes()
    client.set_tag(run["id"], runs.NOTE, "The one of the paper.")
    assert sync(stored.plan).completed == 0
    assert everything()[runs.named(job)]["tags"][runs.NOTE] == "The one of the paper."
    assert check_runs([job]).same == 1


def test_a_long_training_shows_how_busy_the_machine_is(stored: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    job, seconds = stored.plan.distill("B-B", "1"), [0.0]
    stored.run_chain(job.inputs["data"])
    feeds = []

    def live(execution: Session) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("dbot.tracking.machine.time.monotonic", lambda: seconds[0])
            feeds.append(Feed(job, execution.name, enabled=True))
            for count in range(1, len(HISTORY) + 1):
                seconds[0] += 10
                feeds[0].log(HISTORY[:count])

    receipt, execution = done(stored, job, live)
    feeds[0].complete(receipt, execution, HISTORY)
    busy = [(name, step) for name, step, _ in everything()[runs.named(job)]["points"] if name.startswith("system/")]
    names = ("cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage")
    assert busy == [(f"system/{name}", step) for name in names for step in (0, 1)]
    assert check_runs([job]).same == 1
    assert sync(stored.plan).completed == 2  # generate and prepare


def test_receipts_beyond_the_table_are_synced(stored: FakeProject) -> None:
    stored.run_chain(stored.plan.distill("B-B", "3"))
    assert sync(stored.plan).executions == 5


@pytest.mark.slow
def test_cold_starts_at_once_lose_nothing(project: FakeProject) -> None:
    """Making the tables of a new SQLite file is a race that, unlocked, all but one lose."""
    program = (
        "import sys; from dbot.plan import Plan; from dbot.params.load import load; from dbot.tracking.mlflow import Feed;"
        "feed = Feed(Plan(load()).distill('B-B', sys.argv[1]), sys.argv[1] * 32, True);"
        "feed.log([{'epoch': 0, 'loss': 1.0}])"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(i % 3 + 1)], stderr=subprocess.PIPE, text=True) for i in range(4)]
    assert [process.communicate()[1] for process in started] == [""] * 4
    found = everything()
    assert set(found) == {"B-B", *(f"B-B distill stage{i}" for i in (1, 2, 3))}
    assert all(found[f"B-B distill stage{i}"]["points"][0] == ("loss", 0, 1.0) for i in (1, 2, 3))
    with sqlite3.connect("mlflow.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("name", ["what? now", "100% #1; Žluťoučký & 'kůň' 数据"])
def test_the_store_lies_in_the_project_whatever_its_folder_is_called(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.engine import make_url

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert Path(str(make_url(tracking_uri()).database)).resolve() == tmp_path / name / "mlflow.db"


def test_the_command_says_what_it_did(stored: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    stored.run_chain(stored.plan.prepare("digits"))
    assert main(["sync"]) == 0
    assert "2 executions of scale demo, 2 runs completed just now" in capsys.readouterr().out


class Server(BaseHTTPRequestHandler):
    """Refuses everything, and counts."""

    status = 503
    seconds = 0.0
    asked: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.asked.append(self.path)
        time.sleep(self.seconds)
        self.send_response(self.status)
        self.end_headers()

    do_GET = do_POST = _answer

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Iterator[list[str]]:
    """A server on this machine alone; what it was asked for."""
    handler = type("Handler", (Server,), {**how, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            yield handler.asked  # type: ignore[attr-defined]
        server.shutdown()


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 403}, {"seconds": 5.0}], ids=["failing", "refusing", "never answering"])
def test_a_server_that_does_not_serve_costs_one_line_and_a_sync_completes(
    stored: FakeProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: dict[str, Any]
) -> None:
    job = stored.plan.generate("digits")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with serving(monkeypatch, **how) as asked:
        feed = Feed(job, "e" * 32, enabled=True)
        feed.log(HISTORY[:1])
        feed.log(HISTORY)
        feed.complete(*done(stored, job), HISTORY)
        assert len(asked) == 1, "after the first refusal nobody asks again"
    assert capfd.readouterr().err.count("\n") == 1
    assert sync(stored.plan).completed == 1
    assert sync(stored.plan).completed == 0
    assert everything()[runs.named(job)]["status"] == "FINISHED"


def test_a_slow_server_costs_a_bounded_time(
    stored: FakeProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a clock that only the server's answers move: the call that uses the patience up is the last."""
    clock = [0.0]

    def tick() -> float:
        clock[0] += 6.0
        return clock[0]

    monkeypatch.setattr(Patience.__init__, "__defaults__", (tick,))
    job = stored.plan.generate("digits")
    feed = Feed(job, "e" * 32, enabled=True)
    for count in range(1, 3):
        feed.log(HISTORY[:count])
    feed.complete(*done(stored, job), HISTORY)
    err = capfd.readouterr().err
    assert "it is slow: 36 s spent on waiting for it): training goes on; `dbot sync` completes it later" in err
    assert err.count("\n") == 1
    assert clock[0] == 72.0, "six calls of six seconds each, and none after them"
    assert sync(stored.plan).completed == 1
    assert everything()[runs.named(job)]["status"] == "FINISHED"


def test_a_long_job_has_more_patience(project: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(project.plan.generate("digits"), "e" * 32, enabled=False)
    assert feed._allowed() == 30.0
    feed._began -= 100_000
    assert feed._allowed() == pytest.approx(2000, rel=0.01)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:secret@host:5000/api", "http://host:5000/api"),
        ("http://me:se/cr@et@host", "http://host"),
        ("postgresql://me:secret@host/db?password=secret", "postgresql://host/db"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch, uri: str, shown: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok3n")
    assert address.shown_uri() == shown
    assert address.without_secrets(f"Failed to parse {uri} with tok3n") == f"Failed to parse {shown} with ..."


def test_what_the_environment_keeps_secret_is_written_nowhere(
    stored: FakeProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Receipts, state, logs, the report and MLflow's database of a whole row, of which one job could not reach MLflow."""
    secrets = {name: f"hush-{number}" for number, name in enumerate(("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"))}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    job = stored.plan.evaluate("B-B", "cls", "0")
    stored.run_chain(job)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://me:{secrets['MLFLOW_TRACKING_PASSWORD']}@host:port")
        Feed(job, "e" * 32, enabled=True).log(HISTORY)
        assert main(["sync"]) == 2
    for verb in (["sync"], ["table"], ["report"], ["lineage", "B-B/cls"], ["params", "--row", "B-B"]):
        assert main(verb) == 0
    Path("said.log").write_text("".join(capfd.readouterr()))
    files = [path for path in Path.cwd().rglob("*") if path.is_file()]
    assert {"report.html", "mlflow.db", "receipt.json", "said.log"} <= {path.name for path in files}
    assert "executions" in {path.parent.name for path in files}
    assert [path for path in files if b"hush-" in path.read_bytes()] == []
