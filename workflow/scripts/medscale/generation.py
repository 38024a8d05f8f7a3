"""Greedy answers and the likelihood of the references, in left-padded batches of similar length."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from medscale.chat import Chat

ITEM_TOKENS = 2048  # tokens of a likelihood batch, padding included


class Answer(NamedTuple):
    """A generated answer."""

    text: str
    n_tokens: int


class Likelihood(NamedTuple):
    """Negative log-likelihood of a reference answer with its end token, in nats."""

    nll_sum: float
    n_tokens: int


def generate(
    model: torch.nn.Module, chat: Chat, questions: list[str], max_new_tokens: int, batch_size: int, label: str
) -> list[Answer]:
    """Return the greedy answer to each question, in the order of the questions.

    The longest prompts come first, so that a batch too large for the memory fails at once and not after an hour.
    """
    tokenizer = chat.tokenizer
    prompts = [chat.prompt_ids(question) for question in questions]
    answers: list[Answer | None] = [None] * len(prompts)
    with tqdm(total=len(prompts), desc=label, unit="answer", mininterval=2, ncols=100) as bar:
        for batch in _batches(prompts, batch_size):
            ids, mask = _left_padded([prompts[i] for i in batch], tokenizer.pad_token_id, model.device)
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
            for i, row in zip(batch, output[:, ids.shape[1] :].tolist(), strict=True):
                tokens = _until_stop(row, chat.stop_ids)
                answers[i] = Answer(tokenizer.decode(tokens, skip_special_tokens=True).strip(), len(tokens))
            bar.update(len(batch))
    return answers


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
        for positions in _batches(lengths, max(1, ITEM_TOKENS // max(map(len, lengths), default=1))):
            batch = [known[p] for p in positions]
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


def _batches(rows: list[list[int]], size: int) -> Iterator[list[int]]:
    """Yield indices of rows in batches, longest first; equal lengths keep their order."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


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
