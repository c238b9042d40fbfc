"""What jobs made, as MLflow's models: each beside the run that trained it, an input of those that measure it or train on.

A model holds no weights, as in the registry: its tags name the receipt and the file, which DVC keeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dbot.base.errors import UserError
from dbot.base.files import locked
from dbot.jobs.evaluate import EVALUATE
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import executions_of
from dbot.lineage.receipt import Receipt
from dbot.lineage.target import jobs_done
from dbot.plan import Job, Plan
from dbot.tracking import address
from dbot.tracking.mlflow import Checked, short, unanswered
from dbot.tracking.runs import NOTE, experiment, named, signed
from dbot.tracking.store import LOCK, LOCK_SECONDS, Store

UNFIT = str.maketrans(dict.fromkeys("/:.%\"'", "-"))
"""What a model's name may not hold."""


@dataclass(frozen=True)
class Made:
    """A model that a job made."""

    name: str
    type: str
    execution: str
    """Of its training."""
    users: tuple[str, ...]
    """Executions that read it."""
    tags: dict[str, str]


def made(plan: Plan) -> list[Made]:
    """Every model of a scale that has a receipt.

    Raises:
        UserError: a receipt can't be read.
    """
    done = {job.name: (job, receipts.read(job.receipt)) for job in jobs_done(plan)}
    return [one for job, receipt in done.values() if (one := _made(plan, job, receipt, list(done.values()))) is not None]


def _made(plan: Plan, job: Job, receipt: Receipt, done: Sequence[tuple[Job, Receipt]]) -> Made | None:
    model = job.kind.model(job, plan.params)
    if model is None or model.file not in receipt.artifacts:
        return None
    path = job.folder / model.file
    return Made(
        name=named(job).translate(UNFIT),
        type=model.type,
        execution=executions_of(job.receipt, receipt.id)[0].name,
        users=tuple(_users(job, receipt, done)),
        tags={
            "dbot.receipt": receipt.id,
            "dbot.path": path.as_posix(),
            "dbot.sha256": receipt.artifacts[model.file].sha256,
            NOTE: signed(f"{model.description}. `dvc pull {path.as_posix()}`, `dbot lineage {job.receipt.as_posix()}`"),
        },
    )


def _users(job: Job, receipt: Receipt, done: Sequence[tuple[Job, Receipt]]) -> Iterator[str]:
    """The executions of the jobs that read a receipt which is still the one that they read."""
    for other, its in done:
        if any(
            needed.name == job.name and role in its.inputs and its.inputs[role].id == receipt.id for role, needed in other.inputs.items()
        ):
            yield from (execution.name for execution in executions_of(other.receipt, its.id))


def link(plan: Plan) -> int:
    """Have MLflow know every model, and the runs that made and read it; returns how many lacked something.

    Raises:
        UserError: MLflow can't be reached.
    """
    models = made(plan)
    if not models:
        return 0
    try:
        client = Store().client
        with locked(LOCK, LOCK_SECONDS):
            linker = _Linker(client, experiment(plan.scale))
            return sum([linker.link(model) for model in models])
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        raise unanswered("MLflow's models", error) from None


def check_made(plan: Plan, receipts_of: set[str]) -> Checked:
    """Compare MLflow's models with those on the receipts of some ids.

    Raises:
        UserError: names the first that says something else.
    """
    checked = Checked()
    models = [model for model in made(plan) if model.tags["dbot.receipt"] in receipts_of]
    if not models or not address.is_there():
        return checked
    try:
        there = _Linker(Store().client, experiment(plan.scale)).models
        for model in models:
            if (found := there.get(model.tags["dbot.receipt"])) is None:
                continue
            for tag, value in model.tags.items():
                if tag != NOTE and found.tags.get(tag) != value:
                    raise UserError(
                        f"MLflow at {address.shown_uri()}: the model {found.name} has tag {tag} = {found.tags.get(tag, 'nothing')}, "
                        f"its receipt {value}; delete that model and `dbot sync` sends it anew"
                    )
            checked.same += 1
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        checked.notes.append(f"MLflow's models: not checked to the end, {address.shown_uri()} does not answer ({short(error)})")
    return checked


class _Linker:
    """The runs and models of an experiment as they were when it was asked."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        found = client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else None
        ids = [] if found is None else [str(found.experiment_id)]
        runs = _pages(client.search_runs, ids, filter_string="tags.`dbot.execution` != ''") if ids else ()
        self._runs = {run.data.tags["dbot.execution"]: run for run in runs}
        models = _pages(client.search_logged_models, ids) if ids else ()
        self.models = {model.tags["dbot.receipt"]: model for model in models if "dbot.receipt" in model.tags}

    def link(self, model: Made) -> bool:
        """Make a model if there is none of its receipt, and link it to its runs; returns whether anything was lacking."""
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        trained, found = self._runs.get(model.execution), self.models.get(model.tags["dbot.receipt"])
        lacked = found is None
        if found is None:
            source = None if trained is None else trained.info.run_id
            found = self._client.create_logged_model(self._experiment, model.name, source, model.tags, None, model.type)
        if found.status.value != "READY":  # whoever made it may have been cut off before this
            self._client.finalize_logged_model(found.model_id, "READY")
            lacked = True
        if trained is not None and found.model_id not in _ids(trained.outputs):
            self._client.log_outputs(trained.info.run_id, [LoggedModelOutput(found.model_id, 0)])
            lacked = True
        for identity in [run.info.run_id for run in filter(None, map(self._runs.get, model.users))]:
            run = self._client.get_run(identity)  # a search finds runs without the models that they read
            if found.model_id not in _ids(run.inputs):
                self._measured(run, found.model_id)
                self._client.log_inputs(identity, models=[LoggedModelInput(found.model_id)])
                lacked = True
        return lacked

    def _measured(self, run: Any, model: str) -> None:
        """Show what a run found of a model on the model's own page: the same values, which its run has once only."""
        from mlflow.entities import Metric

        names = [name for name in run.data.metrics if name.startswith("result/")] if run.data.tags["dbot.rule"] == EVALUATE.name else []
        data = next((each.dataset for each in run.inputs.dataset_inputs), None)
        on = (None, None) if data is None else (data.name, data.digest)
        points = [point for name in names for point in self._client.get_metric_history(run.info.run_id, name)[-1:]]
        if points:
            told = [Metric(point.key, point.value, point.timestamp, point.step, model, *on) for point in points]
            self._client.log_batch(run.info.run_id, metrics=told)


def _pages(search: Any, ids: list[str], **what: Any) -> Iterator[Any]:
    """All that a search finds."""
    token = None
    while True:
        page = search(ids, page_token=token, **what)
        yield from page
        token = page.token
        if not token:
            return


def _ids(linked: Any) -> set[str]:
    """The models among the inputs or outputs of a run."""
    models = () if linked is None else getattr(linked, "model_outputs", None) or getattr(linked, "model_inputs", None) or ()
    return {model.model_id for model in models}
