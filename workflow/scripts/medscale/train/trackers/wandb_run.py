"""A training at Weights & Biases, or in its files here, which `wandb sync` sends later."""

import os

from medscale.train.trackers.callback import Told

SECONDS = 30
"""How long a start or an end may wait for the server."""


class Run:
    """See `callback.Tracker`.

    Left out is what the client would tell by itself: the code and its repository, the command line, the host's name and
    parts, the packages, what is printed.
    """

    def __init__(self, told: Told, online: bool):
        for name in ("cache", "config", "data", "artifact"):
            os.environ[f"WANDB_{name.upper()}_DIR"] = str((told.folder / f".{name}").absolute())
        os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb  # reads the environment

        self._run = wandb.init(
            config=told.config,
            settings=wandb.Settings(
                mode="online" if online else "offline",
                root_dir=str(told.folder.absolute()),
                project=os.environ.get("WANDB_PROJECT") or told.project,
                run_id=told.id,
                run_name=told.run,
                resume="allow" if online else None,
                reinit="finish_previous",
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                host="",
                program="",
                symlink=False,  # a mounted drive may have none
                silent=True,
                init_timeout=SECONDS,
                finish_timeout=SECONDS,
            ),
        )
        self._run.define_metric("*", step_metric="trainer_step")

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log(values | {"trainer_step": step}, step=step)

    def finish(self, summary: dict[str, float], whole: bool) -> None:
        self._run.summary.update(summary)
        self._run.finish(exit_code=0 if whole else 1)
