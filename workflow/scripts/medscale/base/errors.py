"""Errors a user can act on, and the one place where a script turns them into a message and an exit code."""

import sys
import warnings
from collections.abc import Callable

from medscale.base.imports import UNUSED, leave_out
from medscale.base.orphans import end_with_successor
from medscale.base.scarcity import advice


class UserError(Exception):
    """Something the user can mend: the message names the key or file, what was wrong, and what to do."""


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
        told = advice(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        sys.exit(1)
