"""Libraries that a job does without, although others would import them."""

import sys


def leave_out(*libraries: str) -> None:
    """Let nobody import these libraries in this process, unless they are imported already.

    Some libraries import another one wherever it is installed, whether the job uses it or not: transformers torch, PEFT
    bitsandbytes. That can take longer than the job. They ask first whether it is there, and None in `sys.modules` is
    Python's own way of saying no. (PyArrow, which so imports pandas, does not take it for an answer.)

    It holds for the whole process and cannot be taken back, because libraries remember the answer. So it is called
    where a script is run, never in what others import.
    """
    for library in libraries:
        sys.modules.setdefault(library, None)
