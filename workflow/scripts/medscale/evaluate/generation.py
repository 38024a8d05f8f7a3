"""Greedy answers and the likelihood of the references, many rows at once."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from medscale.base.errors import UserError
from medscale.base.events import event
from medscale.base.progress import Progress
from medscale.data.questions import Question
from medscale.evaluate.answer_queue import AnswerQueue
from medscale.evaluate.decoding import Decoder
from medscale.evaluate.kept_answers import Shelf
from medscale.model.chat import Chat, Sample
from medscale.model.padding import left_padded

ITEM_TOKENS = 2048  # tokens of a likelihood batch, padding included


class Answer(NamedTuple):
    """A generated answer."""

    text: str
    n_tokens: int


class Likelihood(NamedTuple):
    """Negative log-likelihood of a reference answer with its end token, in nats."""

    nll_sum: float
    n_tokens: int


class Generation(NamedTuple):
    """The answers in the order of the questions, and what happened on the way."""

    answers: list[Answer]
    events: list[dict]


class Scored(NamedTuple):
    """The likelihoods in the order of the pairs, and what happened on the way."""

    likelihoods: list[Likelihood | None]
    events: list[dict]


def generate(
    model: torch.nn.Module,
    chat: Chat,
    questions: Sequence[str | Question],
    max_new_tokens: int,
    batch_size: int,
    label: str,
    kept: Shelf | None = None,
) -> Generation:
    """Return the greedy answer to each question: a text alone, or one with the turns and the system text before it.

    The longest prompts come first, ``batch_size`` of them at once, or more of shorter ones; see `AnswerQueue`. An
    answer that has ended makes room for the next question, so that none waits for the longest of its batch. Where the
    memory does not suffice, half as many are answered at once, and what was answered before stays. What is on the shelf
    ``kept`` is not answered again, and each answer is put there when it has ended.

    Raises:
        UserError: the memory does not suffice for one question.
    """
    prompts = [chat.prompt_ids(question) for question in questions]
    kept = Shelf() if kept is None else kept
    queue = AnswerQueue([len(prompt) for prompt in prompts], max_new_tokens, batch_size)
    queue.waiting = [i for i in queue.waiting if i not in kept.found]
    decoder, stop = Decoder(model, chat.tokenizer.pad_token_id), set(chat.stop_ids)
    written: list[list[int]] = [[] for _ in prompts]
    running: list[int] = []
    events: list[dict] = []
    with Progress(label, len(prompts), "answers", len(kept.found)) as progress:
        while running or queue.waiting:
            starting = queue.join(running) if decoder.joinable or not running else []
            running += starting
            try:
                tokens, problem = decoder.join([prompts[i] for i in starting]) if starting else decoder.step(), None
            except torch.OutOfMemoryError as error:
                tokens, problem = [], str(error).splitlines()[0]
            if problem:  # outside the except block, whose traceback keeps the tensors alive
                decoder.keep([])
                torch.cuda.empty_cache()
                events.append(_halve(queue, running, problem))
                for i in running:
                    written[i].clear()
                running = []
                continue
            ended = set()
            for i, token in zip(running[-len(tokens) :], tokens, strict=True):
                if token not in stop:
                    written[i].append(token)
                if token in stop or len(written[i]) == max_new_tokens:
                    ended.add(i)
            if ended:
                decoder.keep([place for place, i in enumerate(running) if i not in ended])
                running = [i for i in running if i not in ended]
                kept.add({i: _answer(chat, written[i]) for i in sorted(ended)}, events)
                progress.update(len(ended))
    return Generation([Answer(*kept.found[i]) for i in range(len(prompts))], events)


def _answer(chat: Chat, tokens: list[int]) -> Answer:
    return Answer(chat.answer_text(tokens), len(tokens))


def _halve(queue: AnswerQueue, running: list[int], problem: str) -> dict:
    """Let half as many questions be answered at once, and return the event that tells of it."""
    if len(running) == 1:
        raise UserError(
            "E101",
            f"out of memory with one question ({problem}); lower evaluation.max_new_tokens, or take a smaller model",
        )
    queue.halve(running)
    message = f"out of memory with {len(running)} questions at once ({problem})"
    return event("fallback", message, "half as many at once")


def empty_answers(answers: list[Answer]) -> list[dict]:
    """Return the event that tells of empty answers where they are most of all; else nothing."""
    empty = sum(not answer.text for answer in answers)
    if 2 * empty <= len(answers):
        return []
    message = (
        f"{empty} of {len(answers)} answers are empty: the model ended them at once, or wrote nothing but thoughts or "
        "control tokens"
    )
    return [event("warning", message, "scored as they are; see chat.template and evaluation.max_new_tokens")]


def likelihoods(
    model: torch.nn.Module,
    chat: Chat,
    pairs: Sequence[tuple[str | Question, str]],
    max_length: int,
    kept: Shelf | None = None,
) -> Scored:
    """Return the likelihood of each reference answer under the model, in the order of the pairs.

    Samples are built exactly as for training: a cut answer counts its kept tokens only, and a pair whose prompt leaves
    no room has no likelihood. Only the hidden states before answer tokens go through the language-model head, which for
    a vocabulary of 150,000 is what decides the memory. Where it does not suffice, the batch halves. ``kept`` is as for
    `generate`.

    Raises:
        UserError: the memory does not suffice for one pair.
    """
    samples = [chat.sample(question, answer, max_length) for question, answer in pairs]
    kept = Shelf() if kept is None else kept
    known = [i for i, sample in enumerate(samples) if sample is not None]
    lengths = [samples[i].input_ids for i in known]
    budget, events = ITEM_TOKENS, []
    with Progress("likelihood of references", len(known), "answers", len(kept.found)) as progress:
        waiting = [known[place] for place in _longest_first(lengths) if known[place] not in kept.found]
        while waiting:
            batch = waiting[: max(1, budget // len(samples[waiting[0]].input_ids))]
            try:
                found, problem = _likelihoods(model, chat, [samples[i] for i in batch]), None
            except torch.OutOfMemoryError as error:
                found, problem = [], str(error).splitlines()[0]
            if problem:  # outside the except block, whose traceback keeps the tensors alive
                torch.cuda.empty_cache()
                if len(batch) == 1:
                    raise UserError(
                        "E102", f"out of memory with the likelihood of one answer ({problem}); take a smaller model"
                    )
                budget = len(batch) // 2 * len(samples[batch[0]].input_ids)
                message = f"out of memory with the likelihoods of {len(batch)} answers at once ({problem})"
                events.append(event("fallback", message, "half as many at once"))
                continue
            kept.add(dict(zip(batch, found, strict=True)), events)
            waiting = waiting[len(batch) :]
            progress.update(len(batch))
    return Scored([Likelihood(*kept.found[i]) if i in kept.found else None for i in range(len(samples))], events)


@torch.inference_mode()
def _likelihoods(model: torch.nn.Module, chat: Chat, samples: list[Sample]) -> list[Likelihood]:
    """Return the likelihoods of the answers of one batch."""
    ids, mask = left_padded([sample.input_ids for sample in samples], chat.tokenizer.pad_token_id, model.device)
    counts = [sum(label >= 0 for label in sample.labels) for sample in samples]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=max(counts) + 1).logits
    found = []
    for row, count in enumerate(counts):
        log_probabilities = logits[row, -count - 1 : -1].float().log_softmax(-1)
        nll = -log_probabilities.gather(1, ids[row, -count:, None]).double().sum().item()
        if not math.isfinite(nll):
            raise UserError(
                "E103",
                f"the likelihood of an answer is {nll} in {str(model.dtype).removeprefix('torch.')}: values of this "
                "model are larger than the format allows; set training.precision to bf16 or fp32",
            )
        found.append(Likelihood(nll, count))
    return found


def _longest_first(rows: list[list[int]]) -> list[int]:
    """Return the indices of rows, longest first; equal lengths keep their order."""
    return sorted(range(len(rows)), key=lambda i: -len(rows[i]))
