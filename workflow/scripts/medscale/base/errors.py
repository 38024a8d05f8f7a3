"""Errors a user can act on, and the one place where a script turns them into a message and an exit code."""

from __future__ import annotations  # envs/install.py is called by older Pythons too

import sys
import warnings
from collections.abc import Callable

from medscale.base.imports import UNUSED, leave_out
from medscale.base.orphans import end_with_successor
from medscale.base.scarcity import disk_advice, memory_advice


class UserError(Exception):
    """Something the user can mend: the text names the key or file, what was wrong, and what to do.

    What users see ends with the code, under which docs/en/troubleshooting.md tells cause and cure; `workflow/messages`
    holds what it says. Who puts the message into another one takes ``text``, so that the code stands at the end alone.

    >>> error = UserError("B101", "config.json: no such file")
    >>> str(error), error.text, error.code
    ('config.json: no such file [B101]', 'config.json: no such file', 'B101')

    Parameters
    ----------
    code : a letter and three digits, the same wherever cause and cure are the same.
    text : the message. Where it is left out, the first argument is the text, and there is no code.
    """

    def __init__(self, code: str, text: str | None = None):
        super().__init__(*((code,) if text is None else (code, text)))
        self.code, self.text = (None, code) if text is None else (code, text)

    def __str__(self) -> str:
        return self.text if self.code is None else f"{self.text} [{self.code}]"


def run_script(main: Callable[[], None]) -> None:
    """Call ``main`` and end the process: 0 on success, 1 with ``error: …`` and no traceback on a `UserError`.

    A full disk and too little memory are told so, too, whichever library met them. Any other exception is a defect of
    ours and keeps its traceback. Meanwhile the process watches whether the Snakemake
    that started it was replaced, see `orphans`, and does without libraries that a job does not use, see `imports`.
    """
    end_with_successor()
    leave_out(*UNUSED)
    # What will be removed from these libraries is for us to mend, and no news to who runs a study.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:  # of any kind: libraries have errors of their own for both
        told = scarcity(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        sys.exit(1)


def scarcity(error: Exception) -> UserError | None:
    """Return what to tell where an error says that disk or memory did not suffice, else None."""
    if told := disk_advice(error):
        return UserError("B107", told)
    if told := memory_advice(error):
        return UserError("B108", told)
    return None
