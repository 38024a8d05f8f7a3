"""Libraries that a job does without, although others would import them."""

import sys

UNUSED = ("torchvision", "torchaudio")
"""Nothing here uses them, but transformers imports them wherever they are, and then fails if they are not of torch's
build, as after an installation into a notebook's Python."""


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


def needs_bitsandbytes(method: str, optimizer: str) -> bool:
    """Return whether a training computes with bitsandbytes, whose import takes seconds.

    Args:
        method: lora, qlora, or base for none.
        optimizer: ``training.optimizer``.
    """
    return method == "qlora" or optimizer == "paged_adamw_8bit"
