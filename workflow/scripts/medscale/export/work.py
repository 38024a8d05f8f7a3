"""What an export works with, from its inputs to its parts. No torch."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What an export works with, and where it leaves its parts.

    Attributes:
        args: of the command line.
        settings: of the export and of the prediction.
        training, inference, evaluation: what the run has written.
        precision: bf16, fp16 or fp32, of the weights in which the run was trained and measured.
        rows: the predictions of the run that the forms are measured against.
        folder: of the parts.
    """

    args: argparse.Namespace
    settings: dict[str, Any]
    training: dict[str, Any]
    inference: dict[str, Any]
    evaluation: dict[str, Any]
    precision: str
    rows: list[dict[str, Any]]
    folder: Path
