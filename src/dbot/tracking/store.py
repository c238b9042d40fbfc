"""MLflow's store of runs: asked to complete a run by its content, to compare the two, and to keep registered models.

A value is known by its name and epoch: what is there already is never sent again.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from dbot.base.files import locked
from dbot.jobs.kind import kinds
from dbot.lineage.session import STATE
from dbot.tracking.address import Patience, is_file, tracking_uri
from dbot.tracking.runs import HERE, NOTE, SIGNED, Content, Point, now

LOCK = STATE / "mlflow.lock"
"""Held while a file is written to, and while rows and models are brought in step."""
LOCK_SECONDS = 30.0
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""MLflow's own settings, where the user made none: a dead server costs seconds, and nobody is called unasked."""
BATCH = 100
"""Names in one request: MLflow's limit on parameters and on tags."""
DIGEST_LENGTH = 36
"""MLflow's limit on the digest of a data set; the input's source holds the whole one."""
PARENT = "mlflow.parentRunId"
ROW = "row:"
"""How the tag begins that names the row of a run."""
OF_MACHINE = "system/"
"""How the names of values begin that MLflow shows on a page of their own, and of which no receipt speaks."""


class Store:
    """MLflow, for one process. Every method may raise whatever MLflow raises."""

    def __init__(self, allowed: Callable[[], float] | None = None) -> None:
        """Reach MLflow.

        Args:
            allowed: how many seconds its calls may have taken so far; None: as long as they take.
        """
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow.store.db.utils as database
        from mlflow import MlflowClient

        # Its own tracebacks and its minutes of patience with a broken database file are not for a training log.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        database.MAX_RETRY_COUNT = 1
        # Making the tables of a new SQLite file is a race that all writers but one lose.
        with locked(LOCK, LOCK_SECONDS) if is_file() else nullcontext():
            client: Any = MlflowClient(tracking_uri())
        self.client: Any = client if allowed is None else Patience(client, allowed)
        self._experiments: dict[str, str] = {}
        self._parents: dict[tuple[str, str], str] = {}

    def open(self, content: Content) -> str:
        """The id of an execution's run, which is made if need be."""
        with _alone(content.execution):
            return self._open(content)

    def sent(self, run: str) -> dict[tuple[str, int], float]:
        """By name and epoch, the newest of the values that a run has.

        There are several where a job did an epoch again, or ended twice, after a kill that nobody could foresee.
        """
        names = sorted(name for name in self.client.get_run(run).data.metrics if not name.startswith(OF_MACHINE))
        points = [(name, point) for name in names for point in self.client.get_metric_history(run, name)]
        return {(name, point.step): point.value for name, point in sorted(points, key=lambda found: found[1].timestamp)}

    def log(self, run: str, points: Sequence[Point], at: int) -> None:
        """Send values."""
        from mlflow.entities import Metric

        for start in range(0, len(points), BATCH):
            part = points[start : start + BATCH]
            self.client.log_batch(run, metrics=[Metric(name, value, at, epoch) for name, value, epoch in part])

    def complete(self, content: Content) -> bool:
        """Send what a run lacks of its content; returns whether it lacked anything.

        Reading and sending are under the lock, so that a job which ends and a sync which comes by
        don't both find the same value missing.
        """
        with _alone(content.execution):
            run = self._open(content)
            sent = [part(run, content) for part in (self._values, self._facts, self._inputs, self._files, self._end)]
            return any(sent)

    def disagreement(self, content: Content) -> str | None:
        """The first thing in which the run of an execution differs from its content; None where there is none.

        What a run lacks is no disagreement but work for `dbot sync`.

        Raises:
            LookupError: there is no such run, or it lacks something.
        """
        experiment = self.client.get_experiment_by_name(content.experiment)
        here = experiment is not None and experiment.lifecycle_stage == "active"
        run = self._tagged(experiment.experiment_id, "dbot.execution", content.execution) if here else None
        if run is None:
            raise LookupError("no run")
        there = self.client.get_run(run)
        found, info = there.data, there.info
        expected = {(name, epoch): value for name, value, epoch in content.points}
        sent = self.sent(run)
        for (name, epoch), newest in sent.items():
            value = expected.get((name, epoch))
            if value is None:
                return f"has metric {name} = {newest!r} at epoch {epoch}, of which the job left nothing"
            if not _same(newest, value):
                return f"has metric {name} = {newest!r} at epoch {epoch}, the job left {value!r}"
        for what, there, wanted in (
            ("parameter", found.params, content.params),
            ("tag", _of_receipt(found.tags), _of_receipt(content.tags)),
        ):
            for key, text in there.items():
                if wanted.get(key) != text:
                    return f"has {what} {key} = {text}, the receipt {wanted.get(key, 'has none')}"
            if wanted.keys() - there.keys():
                raise LookupError(f"lacks {what}s")
        if info.status != "FINISHED":
            raise LookupError("is not finished")
        if content.ended is not None and info.end_time != content.ended:
            return f"ended at {_moment(info.end_time)}, its execution at {_moment(content.ended)}"
        if expected.keys() - sent.keys():
            raise LookupError("lacks metrics")
        return None

    def complete_row(self, experiment: str, row: str, values: dict[str, float], tags: dict[str, str], note: str) -> bool:
        """Bring the run of a row in step with these values, tags and description; returns whether it was not.

        A value that is no longer one becomes NaN: MLflow forgets none.
        """
        with locked(LOCK, LOCK_SECONDS):
            run = self._parent(self._experiment(experiment), f"{ROW}{row}")
            found = self.client.get_run(run)
            sent = {name: value for (name, _), value in self.sent(run).items()}
            wanted = {**dict.fromkeys(sent, math.nan), **values}
            changed = [(name, value, 0) for name, value in wanted.items() if name not in sent or not _same(sent[name], value)]
            self.log(run, changed, now())
            told = {**tags, NOTE: note} if _is_ours(found.data.tags.get(NOTE, "")) else tags
            lacking = {name: value for name, value in told.items() if found.data.tags.get(name) != value}
            for name, value in lacking.items():
                self.client.set_tag(run, name, value)
            if found.info.run_name != row:
                self.client.update_run(run, name=row)
            return bool(changed or lacking)

    def row(self, experiment: str, row: str) -> dict[str, float] | None:
        """The values of the run of a row; None where there is no such run."""
        found = self.client.get_experiment_by_name(experiment)
        here = found is not None and found.lifecycle_stage == "active"
        run = self._tagged(found.experiment_id, "dbot.parent", f"{ROW}{row}") if here else None
        return None if run is None else {name: value for (name, _), value in self.sent(run).items()}

    def describe(self, experiment: str, tags: dict[str, tuple[str, str]]) -> None:
        """Give an experiment tags.

        Args:
            experiment: its name.
            tags: of each its value, and a text; a value that is there without this text is a person's, and stays.
        """
        with locked(LOCK, LOCK_SECONDS):
            identity = self._experiment(experiment)
            found = self.client.get_experiment(identity).tags
            for name, (value, ours) in tags.items():
                there = found.get(name, ours)
                if there != value and ours in there:
                    self.client.set_experiment_tag(identity, name, value)

    def register(self, name: str, alias: str, execution: str, source: str, tags: dict[str, str]) -> bool:
        """Have an alias of a registered model point at the version of a receipt; returns whether anything was lacking."""
        with locked(LOCK, LOCK_SECONDS):
            if not self.client.search_registered_models(f"name = '{name}'"):
                self.client.create_registered_model(name)
            versions = self.client.search_model_versions(f"name = '{name}'")
            same = ("dbot.receipt", "dbot.sha256")
            found = next((each for each in versions if all(each.tags.get(key) == tags[key] for key in same)), None)
            if found is None:
                version = self.client.create_model_version(name, source, self._run_of(execution), tags).version
            else:
                version = found.version
                lacking = {key: value for key, value in tags.items() if found.tags.get(key) != value}
                for key, value in lacking.items():
                    self.client.set_model_version_tag(name, version, key, value)
            pointed = str(self.client.get_registered_model(name).aliases.get(alias)) == str(version)
            if not pointed:
                self.client.set_registered_model_alias(name, alias, version)
            return found is None or bool(lacking) or not pointed

    def registered(self, name: str, alias: str) -> dict[str, str] | None:
        """The tags of the version that an alias of a registered model points at; None where it points at none."""
        if not self.client.search_registered_models(f"name = '{name}'"):
            return None
        if alias not in self.client.get_registered_model(name).aliases:
            return None
        tags: dict[str, str] = self.client.get_model_version_by_alias(name, alias).tags
        return tags

    def _run_of(self, execution: str) -> str | None:
        """The run of an execution, in whatever experiment of ours."""
        experiments = [each.experiment_id for each in self.client.search_experiments(filter_string="name LIKE 'dbot/%'")]
        found = self.client.search_runs(experiments, f"tags.`dbot.execution` = '{execution}'", max_results=1) if experiments else []
        return found[0].info.run_id if found else None

    def _values(self, run: str, content: Content) -> bool:
        sent = self.sent(run)
        missing = [point for point in content.points if (point[0], point[2]) not in sent]
        changed = [point for point in content.points if not _same(sent.get((point[0], point[2]), point[1]), point[1])]
        self.log(run, missing, content.ended or now())
        self.log(run, changed, now())
        return bool(missing or changed)

    def _facts(self, run: str, content: Content) -> bool:
        from mlflow.entities import Param, RunTag

        there = self.client.get_run(run)
        found, experiment = there.data, there.info.experiment_id
        wanted = {**content.tags, PARENT: self._parent(experiment, content.parent)}
        if _is_ours(found.tags.get(NOTE, "")):
            wanted[NOTE] = content.note.replace(HERE, f"#/experiments/{experiment}/runs/{run}")
        params = [Param(key, value) for key, value in content.params.items() if key not in found.params]
        tags = [RunTag(key, value) for key, value in wanted.items() if found.tags.get(key) != value]
        for start in range(0, max(len(params), len(tags)), BATCH):
            part = slice(start, start + BATCH)
            self.client.log_batch(run, params=params[part], tags=tags[part])
        return bool(params or tags)

    def _inputs(self, run: str, content: Content) -> bool:
        from mlflow.entities import Dataset as Entity
        from mlflow.entities import DatasetInput, InputTag

        wanted = content.dataset
        if wanted is None or self.client.get_run(run).inputs.dataset_inputs:
            return False
        source = json.dumps({"receipt": wanted.receipt, "digest": wanted.digest})
        entity = Entity(wanted.name, wanted.digest[:DIGEST_LENGTH], "local", source, profile=json.dumps(wanted.counts))
        context = "evaluation" if kinds()[content.tags["dbot.rule"]].measures else "training"
        self.client.log_inputs(run, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", context)])])
        return True

    def _files(self, run: str, content: Content) -> bool:
        if not content.files:
            return False
        found = {entry.path for entry in self.client.list_artifacts(run)}
        missing = [path for path in content.files if path.name not in found]
        for path in missing:
            self.client.log_artifact(run, str(path))
        return bool(missing)

    def _end(self, run: str, content: Content) -> bool:
        info = self.client.get_run(run).info
        if content.ended is None or (info.status == "FINISHED" and info.end_time == content.ended):
            return False
        self.client.set_terminated(run, "FINISHED", content.ended)
        return True

    def _open(self, content: Content) -> str:
        experiment = self._experiment(content.experiment)
        found = self._only(experiment, "dbot.execution", content.execution)
        if found is not None:
            return found
        tags = {"dbot.execution": content.execution, PARENT: self._parent(experiment, content.parent)}
        made: str = self.client.create_run(experiment, content.started, tags, content.name).info.run_id
        return made

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            # One that somebody deleted still has its name, and takes no run until it is back.
            if found and found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self._experiments[name] = found.experiment_id if found else self._made(name)
        return self._experiments[name]

    def _made(self, name: str) -> str:
        """Make an experiment, unless another clone of this project has just done so."""
        try:
            made: str = self.client.create_experiment(name)
        except Exception:
            if (found := self.client.get_experiment_by_name(name)) is None:
                raise
            made = found.experiment_id
        return made

    def _parent(self, experiment: str, what: str) -> str:
        """The run that executions of a row hang under. It is a shelf, so it is finished from the start."""
        if (experiment, what) not in self._parents:
            found = self._only(experiment, "dbot.parent", what)
            if found is None:
                run = self.client.create_run(experiment, tags={"dbot.parent": what}, run_name=what.removeprefix(ROW))
                found = run.info.run_id
            # Whoever made it may have been cut off before this.
            if self.client.get_run(found).info.status != "FINISHED":
                self.client.set_terminated(found)
            self._parents[(experiment, what)] = found
        return self._parents[(experiment, what)]

    def _only(self, experiment: str, tag: str, value: str) -> str | None:
        """The run with a tag. Of several one is kept, and it is the same for everyone: they are of clones of this project that made it
        at once, or of a server that died after it made one and before it said so.
        """
        found: list[str] = sorted(run.info.run_id for run in self.client.search_runs([experiment], f"tags.`{tag}` = '{value}'"))
        if not found:
            return None
        first, *others = found
        for other in others:
            for child in self.client.search_runs([experiment], f"tags.`{PARENT}` = '{other}'"):
                self.client.set_tag(child.info.run_id, PARENT, first)
            self.client.delete_run(other)
        return first

    def _tagged(self, experiment: str, tag: str, value: str) -> str | None:
        found = self.client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return found[0].info.run_id if found else None


def _alone(execution: str) -> AbstractContextManager[Any]:
    """Nobody else of this clone completes the run of an execution meanwhile; where MLflow is a file, nobody else writes at all.

    A server serves many at once: who had to wait for all others would give up on it. It is one of sixteen locks, by the first digit.
    """
    return locked(LOCK if is_file() else LOCK.with_stem(f"{LOCK.stem}-{execution[0]}"), LOCK_SECONDS)


def _is_ours(note: str) -> bool:
    """Whether a description is one that a person may not miss: of ours, or none."""
    return not note or note.endswith(SIGNED)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _moment(milliseconds: int) -> str:
    """A time of MLflow's, as executions write theirs."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _of_receipt(tags: dict[str, str]) -> dict[str, str]:
    """The tags that say what stands on a receipt."""
    return {key: value for key, value in tags.items() if key.startswith("dbot.") or key == "mlflow.source.git.commit"}
