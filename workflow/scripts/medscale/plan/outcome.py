"""What a plan knows of a kind of run, measured on the device that is here or computed for one that is not."""

from typing import NamedTuple

from medscale.plan.arithmetic import Decoding, TimeModel

CPU_FLOPS = 5e10
"""Operations a second: a cautious guess for two cores, to see beforehand what would take minutes, or months."""


class Machine(NamedTuple):
    """What a plan is for.

    Attributes:
        device: cuda or cpu.
        memory_gib: of the card, or of the computer where there is none.
        price_per_hour: of the card, or None.
        computed: whether the card is not here, so that nothing is measured.
    """

    device: str
    memory_gib: float
    price_per_hour: float | None
    computed: bool = False


class Measured(NamedTuple):
    """What was measured of a training; seconds, GiB and watts, None where there is no such thing.

    ``startup`` is what the first steps took more than later ones, ``validation`` is (constant, a token).
    """

    micro_batch: int
    checkpointed_layers: int
    precision: str
    multiple: int
    steps: int
    model: TimeModel
    startup: float
    validation: tuple[float, float]
    checkpoint: float
    end: float
    load_gib: float
    allocated_gib: float
    reserved_gib: float | None
    watts: float | None
    trainable_parameters: int
    notes: list[str]


class Predicting(NamedTuple):
    """What was measured of a prediction.

    Attributes:
        decoding: the measured batches.
        likelihood: seconds a token of the references' likelihoods, which are not part of the time of the answers.
        batch_size: evaluation.batch_size, halved as often as the memory asked for.
        precision: of the weights, or in 4 bits of the computation.
        allocated_gib, reserved_gib: peak; None where it is not measured.
        watts: mean power; None where none was measured.
    """

    decoding: list[Decoding]
    likelihood: float
    batch_size: int
    precision: str
    allocated_gib: float
    reserved_gib: float | None
    watts: float | None


class Examining(NamedTuple):
    """What was measured of the passes over exams and general texts.

    Attributes:
        model: seconds of a pass, with the positions that go through the head in the place of its micro-batches.
        load: seconds to load the model, assumed.
        allocated_gib, reserved_gib: peak; None where it is not measured.
        watts: mean power; None where none was measured.
    """

    model: TimeModel
    load: float
    allocated_gib: float
    reserved_gib: float | None
    watts: float | None


class Outcome(NamedTuple):
    """What a process measured; no training for the base model, none at all where the memory does not suffice.

    There is no examination in a study without exams and general texts.
    """

    training: Measured | None
    prediction: Predicting | None
    problem: str | None
    examination: Examining | None = None
