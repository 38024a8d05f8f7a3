"""A training at SwanLab, or in its files here, which `swanlab sync` sends later."""

import os

from medscale.train.trackers.callback import Told

NOTHING = dict.fromkeys(("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor"), False)
"""What the client would tell of the machine by itself."""


class Run:
    """See `callback.Tracker`."""

    def __init__(self, told: Told, online: bool):
        os.environ["SWANLAB_SAVE_DIR"] = str((told.folder / ".home").absolute())
        import swanlab  # reads the environment

        if swanlab.has_run():
            swanlab.finish()
        self._run = swanlab.init(
            mode="online" if online else "offline",
            log_dir=str(told.folder.absolute()),
            project=os.environ.get("SWANLAB_PROJECT") or told.project,
            name=told.run,
            id=told.id,
            resume="allow",
            config=told.config,
            settings=swanlab.Settings(interactive=False, probe=NOTHING, terminal={"proxy_type": "none"}),
        )

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log(values, step=step)

    def finish(self, summary: dict[str, float], whole: bool) -> None:
        self._run.config.update(summary)
        self._run.finish(state="success" if whole else "crashed")
