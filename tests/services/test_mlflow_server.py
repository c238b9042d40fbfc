"""MLflow's server on PostgreSQL behind basic auth, fed by thirty clients through our tracking, killed and started again meanwhile."""

import importlib.util
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from dbot.lineage.session import Session
from dbot.tracking import runs
from dbot.tracking.address import tracking_uri
from dbot.tracking.mlflow import Feed, check_runs
from tests import fakes
from tests.fakes import FakeProject, do
from tests.processes import PROCESSES
from tests.services import servers
from tests.services.servers import PASSWORD, POSTGRES, Server, wait_for

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL's programs (Debian: postgresql-15)"),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("psycopg2", "flask_wtf"))),
        reason="needs psycopg2-binary and Flask-WTF (`make test-services` makes an environment that has them)",
    ),
]
CLIENTS, CLONES, EPOCHS = 30, 3, 4
HISTORY: list[dict[str, float | None]] = [{"epoch": epoch, "loss": 1 / (1 + epoch), "learning_rate": 1e-3} for epoch in range(EPOCHS)]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    """The two servers, and the address and credentials of a plain user in the environment."""
    from mlflow.server.auth.client import AuthServiceClient

    (tmp_path / "served").mkdir()
    with servers.postgres() as (database, where), servers.mlflow(tmp_path / "served", where) as (server, address):
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
            patch.setenv("MLFLOW_TRACKING_PASSWORD", f"{PASSWORD}-too")
            AuthServiceClient(address).create_user("trainer", PASSWORD)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # on a machine with few cores, all of whom want it at once
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "trainer")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        yield server, database


def _client(folder: Path, seed: int, environment: dict[str, str]) -> None:
    """One job that feeds its run, epoch by epoch, in a clone of the project."""
    os.chdir(folder)
    os.environ.update(environment)
    fakes.HISTORY[:] = HISTORY
    with (folder / f"said-{seed}.log").open("w") as said:
        os.dup2(said.fileno(), 2)
    job = FakeProject(folder).plan.finetune("B-B", str(seed))
    feeds = []

    def live(session: Session) -> None:
        feeds.append(Feed(job, session.name, enabled=True))
        for count in range(1, EPOCHS + 1):
            feeds[0].log(HISTORY[:count])
            time.sleep(0.5)

    receipt = do(job, live)
    feeds[0].complete(receipt, execution_of(job.receipt, receipt.id), HISTORY)


def _runs() -> list[Any]:
    """Every run of the experiment."""
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("dbot/demo")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id], max_results=1000))


def test_thirty_clients_lose_nothing_and_say_nothing_twice_though_the_servers_are_killed(
    served: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, database = served
    environment = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    clones = []
    for number in range(CLONES):
        (tmp_path / f"clone{number}").mkdir()
        monkeypatch.chdir(tmp_path / f"clone{number}")
        project = FakeProject(Path.cwd())
        project.run_chain(project.plan.distill("B-B", "2"))
        clones.append(project)
    started = [PROCESSES.Process(target=_client, args=(clones[seed % CLONES].folder, seed, environment)) for seed in range(CLIENTS)]
    for process in started:
        process.start()
    wait_for(lambda: len(_runs()) > CLIENTS // 3, "a third of the clients to be shown", every=1.0)
    server.kill()
    database.kill()
    database.start()
    server.start()
    for process in started:
        process.join(servers.START_SECONDS)
    assert [process.exitcode for process in started] == [0] * CLIENTS
    said = [line for clone in clones for path in clone.folder.glob("said-*.log") for line in path.read_text().splitlines()]
    assert all(line.startswith("MLflow at ") and line.endswith("`dbot sync` completes it later") for line in said), said
    assert PASSWORD not in "".join(said)

    for completes in (True, False):
        for clone in clones:
            monkeypatch.chdir(clone.folder)
            assert main(["sync"]) == 0
            jobs = [clone.plan.finetune("B-B", str(seed)) for seed in range(CLIENTS) if seed % CLONES == clones.index(clone)]
            assert completes or check_runs(jobs).same == len(jobs)
    client, found = MlflowClient(tracking_uri()), _runs()
    fed = {run.data.tags["dbot.seed"]: run for run in found if run.data.tags.get("dbot.rule") == "finetune"}
    assert Counter(run.data.tags.get("dbot.seed") for run in found if run.data.tags.get("dbot.rule") == "finetune") == Counter(
        map(str, range(CLIENTS))
    )
    (row,) = [run for run in found if run.data.tags.get("dbot.parent") == "row:B-B"]
    for run in fed.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == row.info.run_id
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
        assert sorted(points) == [(epoch, 1 / (1 + epoch)) for epoch in range(EPOCHS)]
    receipt = receipts.read(clones[0].folder / clones[0].plan.finetune("B-B", "0").receipt)
    assert fed["0"].data.tags["dbot.receipt"] == receipt.id
    assert fed["0"].data.tags[runs.NOTE].endswith(runs.SIGNED)


def test_a_wrong_password_costs_one_line_that_does_not_show_it(
    project: FakeProject, served: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-the-right-password")
    job = project.plan.generate("digits")
    Feed(job, "e" * 32, enabled=True).log(HISTORY)
    project.run(job)
    assert main(["sync"]) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("does not answer" in line and "not authenticated" in line for line in said), said
    assert "not-the-right-password" not in "".join(said)
