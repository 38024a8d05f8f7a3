"""How likely a model finds given continuations of given contexts: those of exam questions, and general texts.

Tokens are cut as EleutherAI's lm-evaluation-harness cuts them (0.4.13, `TemplateLM._encode_pair` and
`HFLM._loglikelihood_tokens`), so that the same model gives the same log-likelihoods there.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

from medscale.base.errors import UserError
from medscale.base.events import event
from medscale.base.progress import Progress
from medscale.evaluate.kept_answers import Shelf
from medscale.model.padding import left_padded

BODY_TOKENS = 8192  # tokens of a batch, padding included
HEAD_TOKENS = 1024  # positions of a batch that go through the language-model head
LONGEST = 2048  # tokens that a model takes whose configuration does not say it
Some = TypeVar("Some", bound="Sized")


class Row(NamedTuple):
    """One row of a forward pass, and what is read from it.

    Attributes:
        ids: tokens that the model sees.
        wanted: by place of the result, the tokens that are to follow; they end one behind ``ids``.
    """

    ids: list[int]
    wanted: dict[int, list[int]]

    @property
    def length(self) -> int:
        """Tokens that the model sees."""
        return len(self.ids)

    @property
    def depth(self) -> int:
        """Positions at the end of the row whose predictions are needed."""
        return max(map(len, self.wanted.values()))


class Sized(Protocol):
    """What decides the batch of a row: its tokens, and the positions that go through the head."""

    @property
    def length(self) -> int: ...

    @property
    def depth(self) -> int: ...


def encode_pairs(tokenizer: Any, context: str, continuations: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Return the tokens of a context and those of what follows, for each continuation.

    Spaces at the context's end are moved to the continuation; then both are encoded as one text, and what is behind as
    many tokens as the context has alone is the continuation.

    Raises:
        UserError: the tokenizer melts a continuation into the context, so that nothing of it is left.
    """
    bare = context.rstrip()
    before, pairs = encode(tokenizer, bare), []
    for continuation in continuations:
        following = encode(tokenizer, context + continuation)[len(before) :]
        if not following:
            raise UserError(
                "E132",
                f"{continuation!r:.80} behind {context[-20:]!r}: the model's tokenizer leaves no token for it; score "
                "this exam by scored_by: letter, or leave the question out",
            )
        pairs.append((before, following))
    return pairs


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of a text, with those that the tokenizer puts before any text unless they are there."""
    opening = tokenizer.decode([prefix_token(tokenizer)])
    return tokenizer.encode(text, **({"add_special_tokens": False} if text.startswith(opening) else {}))


def prefix_token(tokenizer: Any) -> int:
    """Return what stands before a text that has nothing before it: the begin token, or else the end token."""
    return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id


def longest_input(config: Any) -> int:
    """Return how many tokens a model takes at once, by its configuration."""
    config = getattr(config, "text_config", None) or config
    lengths = (getattr(config, name, None) for name in ("n_positions", "max_position_embeddings", "n_ctx"))
    return next((int(length) for length in lengths if length is not None), LONGEST)


def rows_of(pairs: Sequence[tuple[list[int], list[int]]], longest: int, first: int = 0) -> list[Row]:
    """Return the rows of one question: continuations that differ in their last token only share one.

    Args:
        pairs: tokens of the context and of the continuation, one a result.
        longest: tokens that the model takes; what is more is cut off at the left.
        first: place of the first result.
    """
    shared: dict[tuple[int, ...], Row] = {}
    for place, (context, continuation) in enumerate(pairs, first):
        seen = (context + continuation)[-(longest + 1) : -1]
        shared.setdefault(tuple(seen), Row(seen, {})).wanted[place] = continuation
    return list(shared.values())


def rows_digest(rows: Sequence[Row]) -> str:
    """Return a digest of what a model is given and what is read from it: all that decides the results but the model."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.ids}{row.wanted}\n".encode())
    return digest.hexdigest()


def windows_of(tokens: list[int], prefix: int, longest: int, first: int = 0) -> list[Row]:
    """Return the rows that predict each token of a text once.

    The first token follows ``prefix``. A text longer than ``longest`` is cut into windows; each begins with the last
    token of the one before, and the last one reaches back as far as a window can, as the harness's rolling windows of
    a context of one token do.
    """
    rows, whole, done = [], [prefix, *tokens], 0
    while done < len(tokens):
        end = min(done + longest, len(tokens))
        rows.append(Row(whole[max(0, end - longest) : end], {first + len(rows): tokens[done:end]}))
        done = end
    return rows


class Float32Head(torch.nn.Module):
    """A language-model head of 16 bits that computes in float32: its logits are not rounded to 16 bits.

    Rounded ones of neighbouring letters are often equal, and of equal ones the first letter would be chosen: near 20,
    where letters' logits lie, bfloat16 has steps of an eighth.
    """

    def __init__(self, head: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
        self.bias = None if head.bias is None else torch.nn.Parameter(head.bias.detach().float(), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)


def widen_head(model: torch.nn.Module) -> None:
    """Let a model's head compute in float32 from now on; one that is more than a linear layer stays as it is."""
    head = model.get_output_embeddings()
    if type(head) is torch.nn.Linear and head.weight.dtype in (torch.bfloat16, torch.float16):
        model.set_output_embeddings(Float32Head(head))


def in_turn(rows: Iterable[Some]) -> list[Some]:
    """Return rows in the order in which they are computed, the longest first.

    A row with the head's work of many tokens is not batched with those that need one.
    """
    return sorted(rows, key=lambda row: (-row.depth.bit_length(), -row.length))


def next_batch(waiting: Sequence[Some], body: int = BODY_TOKENS, head: int = HEAD_TOKENS) -> list[Some]:
    """Return the rows of the next pass, of those that wait in the order of `in_turn`.

    Args:
        waiting: at least one.
        body: most tokens of a pass, padding included.
        head: most positions that go through the language-model head.
    """
    first = waiting[0]
    size = max(1, min(body // max(1, first.length), head // first.depth))
    return [row for row in waiting[:size] if row.depth.bit_length() == first.depth.bit_length()]


def loglikelihoods(model: torch.nn.Module, rows: Sequence[Row], pad: int, kept: Shelf, label: str) -> list[dict]:
    """Put the log-likelihood of each wanted continuation on the shelf, in nats; return what happened on the way.

    The longest rows come first. Only positions before wanted tokens go through the language-model head. Where the
    memory does not suffice, the batch halves, and what was computed before stays. What is on the shelf is not computed
    again.

    Args:
        model: a causal language model.
        rows: see `Row`.
        pad: token that fills shorter rows.
        kept: by place, a log-likelihood and the number of its tokens.
        label: said of the progress.

    Raises:
        UserError: the memory does not suffice for one row, or a log-likelihood is not a number.
    """
    events: list[dict] = []
    waiting = in_turn(row for row in rows if not row.wanted.keys() <= kept.found.keys())
    body, head = BODY_TOKENS, HEAD_TOKENS
    with Progress(label, len(rows), "rows", len(rows) - len(waiting)) as progress:
        while waiting:
            batch = next_batch(waiting, body, head)
            try:
                found, problem = _loglikelihoods(model, batch, pad), None
            except torch.OutOfMemoryError as error:
                found, problem = {}, str(error).splitlines()[0]
            if problem:  # outside the except block, whose traceback keeps the tensors alive
                torch.cuda.empty_cache()
                if len(batch) == 1:
                    raise UserError(
                        "E130",
                        f"{label}: out of memory with one row of {len(batch[0].ids)} tokens ({problem}); take a "
                        "smaller model, or lower evaluation.retention.window",
                    )
                body, head = len(batch) // 2 * len(batch[0].ids), len(batch) // 2 * batch[0].depth
                message = f"out of memory with {len(batch)} rows at once ({problem})"
                events.append(event("fallback", message, "half as many at once"))
                continue
            kept.add(found, events)
            waiting = waiting[len(batch) :]
            progress.update(len(batch))
    return events


@torch.inference_mode()
def _loglikelihoods(model: torch.nn.Module, rows: list[Row], pad: int) -> dict[int, tuple[float, int]]:
    """Return by place the log-likelihoods of one batch, and the numbers of their tokens."""
    ids, mask = left_padded([row.ids for row in rows], pad, model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    depth = max(row.depth for row in rows)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=depth).logits
    sums = []
    for row, scores in zip(rows, logits, strict=True):
        log_probabilities = scores[-row.depth :].float().log_softmax(-1)
        for tokens in row.wanted.values():
            following = torch.tensor(tokens, device=scores.device)[:, None]
            sums.append(log_probabilities[-len(tokens) :].gather(1, following).double().sum())
    values = torch.stack(sums).tolist()
    found = {}
    for (place, tokens), value in zip((item for row in rows for item in row.wanted.items()), values, strict=True):
        if not math.isfinite(value):
            raise UserError(
                "E103",
                f"the log-likelihood of a continuation is {value} in {str(model.dtype).removeprefix('torch.')}: "
                "values of this model are larger than the format allows; set training.precision to bf16 or fp32",
            )
        found[place] = (value, len(tokens))
    return found
