"""What must be so before Gradio is imported: that it is there, and that it tells nobody of its use. No torch."""

import importlib.util
import os

from medscale.base.errors import UserError

HERE = "127.0.0.1"
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_NODE_SERVER_NAME": HERE,
}
"""What keeps Gradio from telling others of its use."""


def require_gradio() -> None:
    """Let Gradio, when it is imported, tell nobody of its use.

    Raises:
        UserError: it is not installed.
    """
    os.environ |= QUIET
    # Gradio asks its own server whether it runs, and a proxy would not find it.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HERE, "localhost"]))
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "K111",
            "the page needs Gradio, which is not installed in this environment; `make ask PAGE=1 RUN=…` makes one that "
            "has it, or ask in the terminal, without --page",
        )
