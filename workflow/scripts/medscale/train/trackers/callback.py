"""The Trainer's log, sent to the trackers that are asked for; what fails there is told once and stops nothing."""

import argparse
import importlib
import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import rewrite_logs

from medscale.base.events import EventLog
from medscale.base.torchrun import rank
from medscale.fetch.secrets import hide
from medscale.train.trackers.asked import OWN, hidden_words, may_send

SHOWN = ("training", "lora", "quantization")
"""Sections of the settings that trackers are told. The system prompt, which is a text of the user's, is not."""
TAKEN = ("seconds", "energy_kwh", "num_input_tokens_seen")
"""What the log counts up."""
GOES_ON = "the training goes on without it"
IS_THERE = "the training itself is whole"


class Told(NamedTuple):
    """What a tracker is told of a training.

    Attributes:
        run: its name.
        project: what the study is called.
        id: the fingerprint of the training: a training that is gone on with is the same one there.
        config: what decides the result, by dotted names.
        folder: where the client leaves its files, and its caches.
    """

    run: str
    project: str
    id: str
    config: dict[str, Any]
    folder: Path


class Tracker(Protocol):
    """One training as one client shows it. Whatever a client raises, may be raised."""

    def __init__(self, told: Told, online: bool): ...

    def log(self, values: dict[str, float], step: int) -> None: ...

    def finish(self, summary: dict[str, float], whole: bool) -> None: ...


class Tracking(TrainerCallback):
    """Hands the log to each tracker, and gives up one that fails.

    Args:
        names: trackers, each a file ``NAME_run.py`` beside this one with a class ``Run``.
        offline: whether none may send anything.
        told: what they are told; `Told.folder` holds a folder for each.
        events: where failures are noted.
    """

    def __init__(self, names: list[str], offline: bool, told: Told, events: EventLog):
        self.events = events
        self.summary: dict[str, Any] = {}
        self.trackers: dict[str, Tracker] = {}
        for name in names:
            own = told._replace(folder=told.folder / name)
            online = may_send(name, offline)
            if online and self._started(name, own, online=True, otherwise="its files stay here, to be sent later"):
                continue
            self._started(name, own, online=False, otherwise=GOES_ON)

    def _started(self, name: str, told: Told, online: bool, otherwise: str) -> bool:
        def start() -> None:
            told.folder.mkdir(parents=True, exist_ok=True)
            module = importlib.import_module(f"{__package__}.{name}_run")
            self.trackers[name] = module.Run(told, online)

        return self._tried(name, "it could not be reached" if online else "it could not start", start, otherwise)

    def _tried(self, name: str, problem: str, call: Callable[[], None], otherwise: str = GOES_ON) -> bool:
        """Call a client; if it fails, whatever its error is, note that, and be done with it."""
        try:
            call()
        except (Exception, SystemExit) as error:
            first = next(iter(str(error).strip().splitlines()), "")
            said = hide(f"{name}: {problem} ({type(error).__name__}: {first})", hidden_words())
            self.events.add("warning", said, otherwise)
            self.trackers.pop(name, None)
            return False
        return True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        values = rewrite_logs({name: value for name, value in logs.items() if isinstance(value, numbers.Real)})
        for name, tracker in list(self.trackers.items()):
            self._tried(name, "it takes nothing more", lambda one=tracker: one.log(values, state.global_step))

    def came_to(self, facts: dict[str, Any], state: TrainerState) -> None:
        """Keep what the training took and reached, for the end; what was not measured is left out."""
        reached = {"best_validation_loss": state.best_metric, "best_step": state.best_global_step}
        last = {name: value for entry in state.log_history for name, value in entry.items() if name in TAKEN}
        every = flat(facts | reached | last).items()
        self.summary = {f"final/{name}": value for name, value in every if isinstance(value, numbers.Real)}

    def finish(self, whole: bool) -> None:
        """End the run at each tracker, as one that came to its end or not."""
        for name, tracker in list(self.trackers.items()):
            self._tried(name, "it could not end", lambda one=tracker: one.finish(self.summary, whole), IS_THERE)


@contextmanager
def tracked(
    args: argparse.Namespace, settings: dict[str, Any], provenance: dict[str, str], rows: int, events: EventLog
) -> Iterator[Tracking]:
    """Yield a callback that shows a training to its trackers; all but the first of its processes show nothing.

    Args:
        args: of finetune.py.
        settings: the resolved settings of the run.
        provenance: its fingerprint, and the digests of its data and model.
        rows: training rows.
        events: where failures are noted.
    """
    names = [name for name in args.report_to if name != OWN and rank() == 0]
    config = {"method": args.method, "seed": args.seed, "train_rows": rows, **provenance}
    config |= {name: settings[name] for name in SHOWN}
    told = Told(args.run, args.project, provenance["fingerprint"], flat(config), args.trackers)
    tracking = Tracking(names, args.offline, told, events)
    try:
        yield tracking
    except BaseException:
        tracking.finish(whole=False)
        raise
    tracking.finish(whole=True)


def flat(config: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Return nested sections as one, by dotted names.

    >>> flat({"lora": {"r": 16}, "seed": 42})
    {'lora.r': 16, 'seed': 42}
    """
    values: dict[str, Any] = {}
    for name, value in config.items():
        values |= flat(value, f"{start}{name}.") if isinstance(value, dict) else {f"{start}{name}": value}
    return values
