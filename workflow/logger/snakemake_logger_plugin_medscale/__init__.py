"""The view of a running study, as Snakemake's logger plugin: `snakemake --logger medscale`.

Snakemake finds it where this folder's parent is on Python's path: `envs/install.py` and the Makefile put it there. All
plugins are imported at every call of Snakemake, so what the view is made of is imported only when it is asked for.
"""

import sys
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class LogHandler(LogHandlerBase):
    """Hands what Snakemake tells to the view, see `medscale.watch.view`."""

    def __post_init__(self) -> None:
        if str(SCRIPTS) not in sys.path:
            sys.path.insert(0, str(SCRIPTS))
        from medscale.watch.view import View

        self.view = View(self.common_settings, self.format)

    def emit(self, record: LogRecord) -> None:
        """Show one record; a fault of the view is told as Python's handlers tell it, and ends no study."""
        try:
            self.view.take(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End the view when Snakemake ends."""
        self.view.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own messages."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's own log file is written as ever."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own filter is for its own messages; the view knows what to leave out."""
        return True

    @property
    def has_formatter(self) -> bool:
        """What the view does not know is written as Snakemake would write it."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """The order of the steps is known."""
        return False
