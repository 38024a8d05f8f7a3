"""Greedy answers and the likelihood of the references, in left-padded batches of similar length."""

from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from medscale.chat import Chat
from medscale.errors import UserError
from medscale.events import event

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


def generate(
    model: torch.nn.Module, chat: Chat, questions: list[str], max_new_tokens: int, batch_size: int, label: str
) -> Generation:
    """Return the greedy answer to each question.

    The longest prompts come first, ``batch_size`` of them; a batch of shorter ones has more rows, so that its cache of
    keys and values is at most as large. Where the memory does not suffice, the batch halves, and what was answered
    before stays.

    Raises:
        UserError: the memory does not suffice for one question.
    """
    prompts = [chat.prompt_ids(question) for question in questions]
    answers: list[Answer | None] = [None] * len(prompts)
    budget = batch_size * (max(map(len, prompts), default=0) + max_new_tokens)
    events: list[dict] = []
    waiting = _longest_first(prompts)
    with tqdm(total=len(prompts), desc=label, unit="answer", mininterval=2, ncols=100) as bar:
        while waiting:
            longest = len(prompts[waiting[0]]) + max_new_tokens
            batch = waiting[: max(1, budget // longest)]
            try:
                found, problem = _answer(model, chat, [prompts[i] for i in batch], max_new_tokens), None
            except torch.OutOfMemoryError as error:
                found, problem = [], str(error).splitlines()[0]
            if problem:  # outside the except block, whose traceback keeps the batch's tensors alive
                torch.cuda.empty_cache()
                budget = _halved(batch, longest, problem)
                message = f"out of memory with {len(batch)} questions at once ({problem})"
                events.append(event("fallback", message, "half as many at once"))
                continue
            for i, answer in zip(batch, found, strict=True):
                answers[i] = answer
            waiting = waiting[len(batch) :]
            bar.update(len(batch))
    return Generation(answers, events)


def _halved(batch: list[int], longest: int, problem: str) -> int:
    """Return the budget of half a batch, in tokens."""
    if len(batch) == 1:
        raise UserError(
            f"out of memory with one question ({problem}); lower evaluation.max_new_tokens, or take a smaller model"
        )
    return len(batch) // 2 * longest


def _answer(model: torch.nn.Module, chat: Chat, prompts: list[list[int]], max_new_tokens: int) -> list[Answer]:
    """Return the greedy answers to the prompts of one batch."""
    tokenizer = chat.tokenizer
    ids, mask = _left_padded(prompts, tokenizer.pad_token_id, model.device)
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=chat.stop_ids,
            pad_token_id=tokenizer.pad_token_id,
        )
    rows = [_until_stop(row, chat.stop_ids) for row in output[:, ids.shape[1] :].tolist()]
    return [Answer(tokenizer.decode(row, skip_special_tokens=True).strip(), len(row)) for row in rows]


def likelihoods(
    model: torch.nn.Module, chat: Chat, pairs: list[tuple[str, str]], max_length: int
) -> list[Likelihood | None]:
    """Return the likelihood of each reference answer under the model, in the order of the pairs.

    Samples are built exactly as for training: a cut answer counts its kept tokens only, and a pair whose prompt leaves
    no room has no likelihood. Only the hidden states before answer tokens go through the language-model head, which for
    a vocabulary of 150,000 is what decides the memory.
    """
    samples = [chat.sample(question, answer, max_length) for question, answer in pairs]
    results: list[Likelihood | None] = [None] * len(samples)
    known = [i for i, sample in enumerate(samples) if sample is not None]
    lengths = [samples[i].input_ids for i in known]
    with tqdm(total=len(known), desc="likelihood of references", unit="answer", mininterval=2, ncols=100) as bar:
        waiting = [known[place] for place in _longest_first(lengths)]
        while waiting:
            batch = waiting[: max(1, ITEM_TOKENS // len(samples[waiting[0]].input_ids))]
            waiting = waiting[len(batch) :]
            ids, mask = _left_padded([samples[i].input_ids for i in batch], chat.tokenizer.pad_token_id, model.device)
            answer_tokens = [sum(label >= 0 for label in samples[i].labels) for i in batch]
            keep = max(answer_tokens)
            with torch.inference_mode():
                positions_ids = (mask.cumsum(1) - 1).clamp(min=0)
                logits = model(
                    input_ids=ids, attention_mask=mask, position_ids=positions_ids, logits_to_keep=keep + 1
                ).logits
            for row, (i, count) in enumerate(zip(batch, answer_tokens, strict=True)):
                log_probabilities = logits[row, -count - 1 : -1].float().log_softmax(-1)
                nll = -log_probabilities.gather(1, ids[row, -count:, None]).double().sum().item()
                results[i] = Likelihood(nll, count)
            bar.update(len(batch))
    return results


def _longest_first(rows: list[list[int]]) -> list[int]:
    """Return the indices of rows, longest first; equal lengths keep their order."""
    return sorted(range(len(rows)), key=lambda i: -len(rows[i]))


def _left_padded(rows: list[list[int]], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, both (rows, longest): an answer must follow its prompt without a gap."""
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def _until_stop(row: list[int], stop: list[int]) -> list[int]:
    """Return the tokens before the first stop token."""
    for position, token in enumerate(row):
        if token in stop:
            return row[:position]
    return row
