"""The plan for a card that is not here: its figures follow from counted work and declared rates, and none is measured.

A training step and a pass of prediction are run on fake tensors at the study's shape (`train.simulation`,
`evaluate.simulation`). Of each, the floating-point operations of matrix products, the bytes that everything reads and
writes, and the kernels that are launched are divided by the card's rates. The steps and passes of a run are those that
the measured plan counts, so both plans differ in these coefficients alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from medscale.base.machine import GIB
from medscale.evaluate.generation import ITEM_TOKENS
from medscale.evaluate.simulation import Simulated as Prediction
from medscale.evaluate.simulation import simulate as simulate_prediction
from medscale.model.blank import Step
from medscale.model.counting import Work
from medscale.model.hardware import ROOM
from medscale.plan.arithmetic import Decoding, Passes, TimeModel
from medscale.plan.cards import BANDWIDTH_SHARE, CACHED_BYTES, DISK_BYTES, LAUNCH_SECONDS, SPREAD, Card
from medscale.plan.exam_passes import ExamPass
from medscale.plan.examining import load_seconds
from medscale.plan.lengths import Row
from medscale.plan.outcome import Examining, Measured, Outcome, Predicting
from medscale.plan.random_model import empty_model
from medscale.train.fitting import CANNOT_SIMULATE, ROWS, Fit, Needs, fitted

MULTIPLE = 8  # what a card's rows are padded to
ADAM_BYTES = 12  # of a trained parameter in a checkpoint: the weight and two moments in float32


class Simulations:
    """Steps and passes of a model, each of which is simulated once, for whichever run and card it is asked for."""

    def __init__(self, config: PreTrainedConfig):
        self.config = config
        self._needs: dict[str, Needs] = {}
        self._predictions: dict[str, Prediction] = {}

    def needs(self, step: Step) -> Needs:
        """Return what trainings of this kind need."""
        return self._needs.setdefault(json.dumps(step), Needs(self.config, step))

    def prediction(self, step: Step, new_tokens: int, adapter: bool, kept: int = 1) -> Prediction:
        """Return what answers take; see `evaluate.simulation.simulate`."""
        key = json.dumps([step, new_tokens, adapter, kept])
        if key not in self._predictions:
            self._predictions[key] = simulate_prediction(self.config, step, new_tokens, adapter, kept)
        return self._predictions[key]


def seconds_of(work: Work, card: Card, precision: str) -> float:
    """Return how long a card takes for some work.

    Products take the longer of arithmetic and traffic, everything else its traffic; and where launching all kernels
    takes longer than that, the card waits for them.

    Args:
        work: what is done.
        card: where.
        precision: of the products.
    """
    bandwidth = BANDWIDTH_SHARE * card.bandwidth
    products = max(work.flops / (card.sustained * card.peak[precision]), work.product_bytes / bandwidth)
    others = (work.bytes - work.product_bytes) / bandwidth
    return max(products + others, LAUNCH_SECONDS * work.launches)


def compute(
    simulations: Simulations,
    method: str,
    settings: dict[str, Any],
    card: Card,
    train: list[Row] | None,
    passes: Passes,
    test: list[Row],
    exam_passes: Sequence[ExamPass] = (),
) -> Outcome:
    """Return what one kind of run takes on a card, in the form that `measure` returns.

    Args:
        simulations: of the model.
        method: lora, qlora, or base.
        settings: sections training, lora, quantization, evaluation, and the study's ``largest`` method.
        card: the card.
        train: lengths of the training rows; None for the base model.
        passes: the passes over the model in which the test questions are answered.
        test: lengths of the test items.
        exam_passes: the passes over exams and general texts.
    """
    try:
        kind = card.precision(settings["training"]["precision"])
        training = None
        if train is not None:
            own, most = (simulations.needs(_step(name, settings, card, kind)) for name in (method, settings["largest"]))
            fit = _fit(own, most, settings["training"], card)
            if fit.gib > ROOM * card.memory_gib:
                return Outcome(None, None, f"training takes {_of(fit.gib, card)}")
            training = compute_training(simulations, own.step, fit, settings, card, train)
        prediction = compute_prediction(simulations, method, settings, card, passes, test)
        if prediction.allocated_gib > ROOM * card.memory_gib:
            return Outcome(training, None, f"prediction takes {_of(prediction.allocated_gib, card)}")
        if not exam_passes:
            return Outcome(training, prediction, None)
        examination = compute_examination(simulations, method, settings, card, exam_passes)
        if examination.allocated_gib > ROOM * card.memory_gib:
            return Outcome(training, prediction, f"examination takes {_of(examination.allocated_gib, card)}")
        return Outcome(training, prediction, None, examination)
    except CANNOT_SIMULATE as error:
        return Outcome(None, None, f"this model cannot be simulated ({type(error).__name__}: {error})")


def _of(gib: float, card: Card) -> str:
    return (
        f"{gib:.1f} GiB, as simulated, of {ROOM * card.memory_gib:.1f} that are planned for (the card has "
        f"{card.memory_gib:.1f}, and {1 - ROOM:.0%} are left for what is not simulated)"
    )


def _step(method: str, settings: dict[str, Any], card: Card, kind: str) -> Step:
    sections = settings["lora"], settings["quantization"]
    return Step(method, kind, *sections, ROWS, settings["training"]["max_length"], flash=card.flash)


def _fit(own: Needs, largest: Needs, training: dict[str, Any], card: Card) -> Fit:
    asked, rows = training["gradient_checkpointing"], training["micro_batch"]
    return fitted(
        own,
        largest,
        card.memory_gib,
        ROOM * card.memory_gib,
        training["effective_batch"],
        None if rows == "auto" else int(rows),
        None if asked == "auto" else asked,
    )


def compute_training(
    simulations: Simulations, form: Step, fit: Fit, settings: dict[str, Any], card: Card, train: list[Row]
) -> Measured:
    """Return the coefficients of a training's time, from two micro-batches of rows of the mean length."""
    training, kind = settings["training"], form.precision
    width = _padded(sum(row.total for row in train) / len(train))
    answers = sum(row.answer for row in train) / sum(row.total for row in train)
    rows = max(1, min(fit.rows * training["max_length"] // width, training["effective_batch"]))
    counts = sorted({max(1, rows // 2), rows})
    step = form._replace(width=width, answers=answers)
    passed = {count: simulations.needs(step).simulated(count, fit.checkpointed) for count in counts}
    judged = {
        count: simulations.prediction(step._replace(rows=count), 1, True, max(1, round(answers * width))).prefill
        for count in counts
    }
    micro_batch, token = _line({count * width: seconds_of(passed[count].micro_batch, card, kind) for count in counts})
    a_pass, a_token = _line({count * width: seconds_of(judged[count].work, card, kind) for count in counts})
    whole = passed[rows]
    return Measured(
        micro_batch=fit.rows,
        checkpointed_layers=fit.checkpointed,
        precision=kind,
        multiple=MULTIPLE,
        steps=0,
        model=TimeModel(seconds_of(whole.optimiser, card, kind), micro_batch, token),
        startup=0.0,
        validation=(0.0, a_token + a_pass / (rows * width)),
        checkpoint=ADAM_BYTES * whole.trainable / DISK_BYTES,
        end=0.0,
        load_gib=whole.weights_gib,
        allocated_gib=fit.gib,
        reserved_gib=None,
        watts=None,
        trainable_parameters=whole.trainable,
        notes=[],
    )


def compute_prediction(
    simulations: Simulations, method: str, settings: dict[str, Any], card: Card, passes: Passes, test: list[Row]
) -> Predicting:
    """Return the seconds of prediction's passes; the batch size halves where the cache does not fit."""
    evaluation, apart = settings["evaluation"], method == "qlora"
    kind = card.precision(settings["training"]["precision"])
    width, longest = passes.prefills[0].width, evaluation["max_new_tokens"]
    step = _step("qlora" if apart else "lora", settings, card, kind)._replace(width=width)
    largest, halved = passes.prefills[0].rows, 0
    while True:
        whole = simulations.prediction(step._replace(rows=largest), longest, apart)
        peak = max(whole.prefill.peak_gib, whole.step.peak_gib)
        if peak <= ROOM * card.memory_gib or largest == 1:
            break
        largest, halved = largest // 2, halved + 1
    decoding = []
    for count in sorted({max(1, largest // 8), largest}):
        # The cache of half an answer: what is read of it grows evenly up to the end.
        half = simulations.prediction(step._replace(rows=count), max(2, longest // 2), apart)
        prefill, following = (seconds_of(part.work, card, kind) for part in (half.prefill, half.step))
        decoding.append(Decoding(count, count * width, prefill, following))
    mean = _padded(sum(row.total for row in test) / len(test))
    answer = max(1, round(sum(row.answer for row in test) / len(test)))
    rows = max(1, ITEM_TOKENS // mean)
    pairs = simulations.prediction(step._replace(rows=rows, width=mean), 1, apart, answer)
    return Predicting(
        decoding,
        seconds_of(pairs.prefill.work, card, kind) / (rows * mean),
        evaluation["batch_size"] >> halved,
        kind,
        peak,
        None,
        None,
    )


def compute_examination(
    simulations: Simulations, method: str, settings: dict[str, Any], card: Card, passes: Sequence[ExamPass]
) -> Examining:
    """Return the coefficients of an examination's time, from two passes of the mean width.

    The language-model head computes in float32 there (`continuations.Float32Head`), for the positions that are asked
    for alone: it is counted apart. Where a pass does not fit, its rows halve, as in the examination.
    """
    apart, kind = method == "qlora", card.precision(settings["training"]["precision"])
    tokens = sum(each.rows * each.width for each in passes)
    width = _padded(sum(each.rows * each.width**2 for each in passes) / tokens)
    positions = max(each.rows * each.depth for each in passes)
    rows = max(1, max(each.rows * each.width for each in passes) // width)
    step = _step("qlora" if apart else "lora", settings, card, kind)._replace(width=width)
    text = simulations.config.get_text_config()
    head, logits = 4 * text.vocab_size * text.hidden_size, 4 * text.vocab_size
    while True:
        peak = simulations.prediction(step._replace(rows=rows), 1, apart).prefill.peak_gib
        peak += (head + 2 * positions * logits) / GIB
        if peak <= ROOM * card.memory_gib or rows == 1:
            break
        rows, positions = rows // 2, max(1, positions // 2)
    counts = sorted({max(1, rows // 2), rows})
    passed = {count: simulations.prediction(step._replace(rows=count), 1, apart).prefill.work for count in counts}
    a_pass, token = _line({count * width: seconds_of(work, card, kind) for count, work in passed.items()})
    bandwidth = BANDWIDTH_SHARE * card.bandwidth
    product = 2 * text.vocab_size * text.hidden_size / (card.sustained * card.peak["fp32"])
    return Examining(
        # The logits of a position are written, and read and written once more for their logarithms.
        TimeModel(a_pass + head / bandwidth, product + 3 * logits / bandwidth, token),
        load_seconds(empty_model(simulations.config).num_parameters()),
        peak,
        None,
        None,
    )


def rates(card: Card, precisions: list[str]) -> list[str]:
    """Return in words which rates were taken, and what each rests on."""
    emulated = "bf16" in precisions and card.capability < (8, 0)
    return [
        f"{card.title}: {card.memory_gib:g} GiB, {card.bandwidth / 1e9:g} GB/s peak, of which {BANDWIDTH_SHARE:.0%} "
        f"are taken to be sustained (assumed); source: {card.source}.",
        *(
            f"Matrix products in {kind}: {card.peak[kind] / 1e12:g} TFLOP/s peak, of which {card.sustained:.0%} are "
            f"taken to be sustained ({card.why})."
            for kind in precisions
        ),
        *([f"{card.title} has no units for bf16 and emulates it; `auto` is fp16 there."] if emulated else []),
        f"{1e6 * LAUNCH_SECONDS:g} µs to launch a kernel, and {DISK_BYTES / 1e6:g} MB/s to write a checkpoint "
        f"or read a model, {CACHED_BYTES / 1e6:g} MB/s to load it again (assumed).",
        f"A range takes all rates together to be up to {SPREAD:.0%} off (assumed).",
        "Peak memory is simulated on fake tensors; the CUDA context, workspaces and fragmentation come to it, for "
        f"which {1 - ROOM:.0%} of the card are left.",
    ]


def _line(points: dict[int, float]) -> tuple[float, float]:
    """Return constant and slope of the seconds over the tokens of one or two passes, neither of them negative."""
    (x0, y0), (x1, y1) = min(points.items()), max(points.items())
    slope = y1 / x1 if x0 == x1 else max(0.0, (y1 - y0) / (x1 - x0))
    if y1 - slope * x1 < 0:
        return 0.0, y1 / x1
    return y1 - slope * x1, slope


def _padded(tokens: float) -> int:
    return -(-round(tokens) // MULTIPLE) * MULTIPLE
