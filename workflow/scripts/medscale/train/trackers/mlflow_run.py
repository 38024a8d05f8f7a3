"""A training at MLflow: at the server that MLFLOW_TRACKING_URI names, or in an SQLite file here."""

import os
import time
from typing import Any

from medscale.train.trackers.callback import Told

TAG = "medscale.fingerprint"
"""MLflow gives runs numbers of its own, so this is by what a training that is gone on with is found."""
REQUEST = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""A server that is gone must not hold up a training for the client's own ten minutes."""


class Run:
    """See `callback.Tracker`. Through the client alone: what the fluent functions add tells of machine and script."""

    def __init__(self, told: Told, online: bool):
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        for name, value in REQUEST.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # reads the environment

        here = f"sqlite:///{(told.folder / 'mlflow.db').absolute()}"
        self._client = MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"] if online else here)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or told.project
        known = self._client.get_experiment_by_name(name)
        artifacts = {} if online else {"artifact_location": str((told.folder / "artifacts").absolute())}
        experiment = known.experiment_id if known else self._client.create_experiment(name, **artifacts)
        found = self._client.search_runs([experiment], f"tags.`{TAG}` = '{told.id}'")
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._client.create_run(experiment, tags={TAG: told.id}, run_name=told.run).info.run_id
            self._batch(params=[_param(name, value) for name, value in told.config.items()])

    def log(self, values: dict[str, float], step: int) -> None:
        self._batch(metrics=_metrics(values, step))

    def finish(self, summary: dict[str, float], whole: bool) -> None:
        self._batch(metrics=_metrics(summary, 0))
        self._client.set_terminated(self._id, status="FINISHED" if whole else "FAILED")

    def _batch(self, **parts: Any) -> None:
        self._client.log_batch(self._id, **parts)


def _metrics(values: dict[str, float], step: int) -> list:
    from mlflow.entities import Metric

    moment = int(time.time() * 1000)
    return [Metric(name, float(value), moment, step) for name, value in values.items()]


def _param(name: str, value: Any) -> Any:
    from mlflow.entities import Param

    return Param(name, str(value))
