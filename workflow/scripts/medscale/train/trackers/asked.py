"""Which trackers are asked for, whether they are there, and whether they may send anything. No torch, no client."""

import os
from importlib.util import find_spec

from medscale.base.errors import UserError
from medscale.fetch.secrets import secrets

OWN = "tensorboard"
"""What the Trainer itself writes, and what is always installed."""
TRACKERS = (OWN, "swanlab", "wandb", "mlflow")
SECRETS = (
    *("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "SWANLAB_API_KEY"),
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
)
CREDENTIAL = {"wandb": "WANDB_API_KEY", "swanlab": "SWANLAB_API_KEY", "mlflow": "MLFLOW_TRACKING_URI"}
"""The variable of the environment with which a tracker is online."""
MODE = {"wandb": "WANDB_MODE", "swanlab": "SWANLAB_MODE"}
STAYS_HERE = {"offline", "local", "disabled", "dryrun"}
"""Values of `MODE` with which a client sends nothing."""


def require_installed(names: list[str]) -> None:
    """Raise `UserError` where a tracker that is asked for is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UserError(
            "T108",
            f"training.report_to = {', '.join(missing)}: not installed beside this Python; call "
            "pip install -r requirements-trackers.lock, or leave it out of training.report_to",
        )


def may_send(name: str, offline: bool) -> bool:
    """Return whether a tracker is online: it is not asked to stay here, and the environment has its credential."""
    stays = offline or os.environ.get(MODE.get(name, ""), "").strip().lower() in STAYS_HERE
    return not stays and bool(os.environ.get(CREDENTIAL[name], "").strip())


def hidden_words() -> list[str]:
    """Return what no event may tell: the secrets of fetching, and those of the trackers."""
    words = [os.environ.get(name, "").strip() for name in SECRETS]
    return sorted({word for word in [*secrets(os.environ.get(CREDENTIAL["mlflow"])), *words] if word}, key=len)[::-1]
