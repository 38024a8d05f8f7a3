"""A few decoding steps at the batch sizes of the study, with the code that answers the test questions."""

import statistics
import time
from typing import Any

import torch

from medscale.evaluate.generation import generate, likelihoods
from medscale.model.chat import IGNORED, Sample
from medscale.model.hardware import EnergyMeter, MemoryMeter, device
from medscale.model.loading import add_adapter
from medscale.model.precision import precision
from medscale.plan.arithmetic import Decoding, Passes
from medscale.plan.lengths import Row
from medscale.plan.outcome import CPU_FLOPS, Predicting
from medscale.plan.random_model import blank_tokenizer, load_shape
from medscale.plan.shapes import Shape
from medscale.plan.training import STEP_SECONDS, spread

FEW, SOME = 2, 8  # tokens of the two short measurements
PAIRS = 32


class Lengthwise:
    """Takes the place of `chat.Chat`: a question is the number of tokens that its prompt has."""

    def __init__(self, vocabulary: int):
        self.tokenizer = blank_tokenizer(min(vocabulary, 1000))
        self.vocabulary = vocabulary
        self.stop_ids = [vocabulary]  # which no model can say, so that each answer goes on

    def prompt_ids(self, question: str) -> list[int]:
        """Return as many tokens as the question says."""
        return [2 + place * 7919 % (self.vocabulary - 2) for place in range(int(question))]

    def answer_text(self, ids: list[int]) -> str:
        """Return nothing: the tokens are only counted."""
        return ""

    def sample(self, question: str, answer: str, max_length: int) -> Sample:
        """Return a sample of as many tokens as question and answer say."""
        prompt, response = self.prompt_ids(question), self.prompt_ids(answer)
        return Sample(prompt + response, [IGNORED] * len(prompt) + response, False)


def measure_prediction(
    shape: Shape, method: str, settings: dict[str, Any], planned: Passes, rows: list[Row], seconds: float
) -> Predicting:
    """Measure answers and likelihoods as `predict` computes them.

    Args:
        shape: the model.
        method: qlora keeps base and adapter apart; lora merges them, so that it runs as the base model does.
        settings: sections training, lora, quantization, evaluation.
        planned: the passes of the study.
        rows: lengths of the test items.
        seconds: how long to measure, about.
    """
    kind, memory = precision(settings["training"]["precision"]), MemoryMeter()
    memory.restart()
    model = load_shape(shape, method, settings["quantization"], kind)
    parameters, chat = model.num_parameters(), Lengthwise(model.config.get_text_config().vocab_size)
    if method == "qlora":
        model = add_adapter(model, settings["lora"], seed=0)
        model.config.use_cache = True
    model.eval()
    width, largest = planned.prefills[0].width, most_rows(planned, parameters)
    longest, halved = settings["evaluation"]["max_new_tokens"], 0

    def answers(count: int, width: int, tokens: int) -> float:
        nonlocal halved
        # One prompt is shorter: a batch with padding needs a mask, and attention with one is slower.
        questions = [str(width)] * (count - 1) + [str(max(1, width - (count > 1)))]
        began = time.perf_counter()
        done = generate(model, chat, questions, tokens, count, "forecast")
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        halved = max(halved, len(done.events))
        return time.perf_counter() - began

    answers(min(2, largest), width, 4)
    counts = sorted({max(1, largest // 8), largest})
    with EnergyMeter() as energy:
        began = time.perf_counter()
        decoding = [measure_batch(answers, count, width, longest, seconds / len(counts)) for count in counts]
        used, spent = energy.so_far(), time.perf_counter() - began
    pairs = spread(rows, min(len(rows), PAIRS if largest >= planned.prefills[0].rows else 2))
    began = time.perf_counter()
    likelihoods(model, chat, [(str(row.total - row.answer), str(row.answer)) for row in pairs], 1 << 20)
    return Predicting(
        decoding,
        (time.perf_counter() - began) / sum(row.total for row in pairs),
        settings["evaluation"]["batch_size"] >> halved,
        kind,
        memory.allocated(),
        memory.reserved(),
        None if used is None else 3.6e6 * used / spent,
    )


def measure_batch(answers: Any, rows: int, width: int, steps: int, seconds: float) -> Decoding:
    """Measure one batch: a few tokens, some, and then as many of the longest answer as the time allows.

    Args:
        answers: a function of rows, width and tokens that returns seconds.
        rows, width: prompts, and tokens of the longest.
        steps: tokens of the longest answer, which decides the memory.
        seconds: how long to measure, about.
    """
    began = time.perf_counter()

    def repeated(tokens: int) -> float:
        """Return the median of three times, or of fewer where the time is up."""
        times = [answers(rows, width, tokens)]
        while len(times) < 3 and time.perf_counter() - began + times[-1] < seconds:
            times.append(answers(rows, width, tokens))
        return statistics.median(times)

    few, some = min(FEW, steps), min(SOME, steps)
    short, medium = repeated(few), repeated(some)
    if some <= few:
        return Decoding(rows, rows * width, short, short)
    step = max(1e-6, (medium - short) / (some - few))
    left = seconds - (time.perf_counter() - began)
    many = int(min(steps, some + max(0.0, left) / step))
    if many >= 2 * some:
        step = max(1e-6, (repeated(many) - short) / (many - few))
    return Decoding(rows, rows * width, max(0.0, short - step * (few - 1)), step)


def most_rows(planned: Passes, parameters: int) -> int:
    """Return how many of the longest rows are measured: as at first, or on a CPU what takes seconds, not minutes."""
    first = planned.prefills[0]
    if device().type == "cuda":
        return first.rows
    return max(1, min(first.rows, int(STEP_SECONDS * CPU_FLOPS / (2 * parameters * first.width))))
