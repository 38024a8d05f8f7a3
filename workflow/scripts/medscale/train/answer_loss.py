"""The training loss from answer positions only: the logits of a prompt, and of a whole micro-batch, never exist.

A causal language model's own loss takes every hidden state through the head, in 16 bits, in float32 and as a gradient:
for a vocabulary of 150,000 that is 1.8 MB a token, more than all that its 36 layers keep with checkpointing. Here only
the hidden states before a labelled token are taken, a chunk at a time, and the gradient of a chunk is computed while
its logits are there. The value and the gradients are those of the full loss.

Plain PyTorch, so it runs on a CPU and on cards without Triton.
"""

from types import MethodType
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from medscale.model.chat import IGNORED

CHUNK_BYTES = 128 * 1024**2
"""Size of the float32 logits of one chunk."""
HALF_SCALE = 1024.0
"""Gradients of fp16 logits are computed this much larger: a probability below 6e-8 would round to nothing."""


class _SummedLoss(torch.autograd.Function):
    """Σ -log softmax(hidden @ weightᵀ)[target] over tokens, for a head that is not trained."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, chunk):
        """Return the sum, float32; keep its gradient for ``hidden``.

        Shapes: hidden (tokens, width), weight (vocabulary, width), bias (vocabulary,) or None, targets (tokens,).
        """
        scale = HALF_SCALE if weight.dtype == torch.float16 else 1.0
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        # Every chunk is computed in the same two buffers: fresh memory costs a CPU as much as the arithmetic.
        shape = (min(chunk, len(targets)), weight.shape[0])
        logits = torch.empty(shape, dtype=weight.dtype, device=hidden.device)
        logs = torch.empty(shape, dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            target = targets[part, None]
            rows = slice(len(target))
            torch.mm(hidden[part].to(weight.dtype), weight.T, out=logits[rows])
            if bias is not None:
                logits[rows] += bias
            torch.log_softmax(logits[rows], -1, dtype=torch.float32, out=logs[rows])
            total -= logs[rows].gather(1, target).sum()
            if gradient is not None:
                slope = logs[rows].exp_()
                slope.scatter_add_(1, target, torch.full_like(target, -1, dtype=slope.dtype))
                if weight.dtype != torch.float32:
                    slope = logits[rows].copy_(slope.mul_(scale))
                gradient[part] = (slope @ weight).to(hidden.dtype)
        ctx.scale = scale
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx, upstream):
        """Return the kept gradient times what comes from above."""
        (gradient,) = ctx.saved_tensors
        return (gradient * (upstream / ctx.scale)).to(gradient.dtype), None, None, None, None


def summed_loss(hidden: torch.Tensor, head: torch.nn.Linear, targets: torch.Tensor) -> torch.Tensor:
    """Return the summed negative log-likelihood of ``targets`` in nats.

    Args:
        hidden: hidden states before the targets, shape (tokens, width).
        head: the language-model head, frozen.
        targets: token ids, shape (tokens,).
    """
    chunk = max(1, CHUNK_BYTES // (4 * head.weight.shape[0]))
    return _SummedLoss.apply(hidden, head.weight, head.bias, targets, chunk)


def answer_positions(labels: torch.Tensor) -> torch.Tensor:
    """Return where a label follows, (answers,), counted through all rows of (rows, width - 1) hidden states.

    On a card this waits for all work that was given to it.
    """
    return (labels[:, 1:] != IGNORED).flatten().nonzero().squeeze(1)


def use_answer_loss(model: PreTrainedModel) -> bool:
    """Let a causal language model compute its loss from answer positions only; return whether it now does.

    The model's forward is replaced on the object, below whatever wraps it, so that the Trainer, PEFT and autocast work
    as before; a replica that copies the object (`torch.nn.DataParallel`) would call the first one's. A model whose loss
    is not head and cross-entropy alone (scaled or capped logits, a trained head, a head of another kind) keeps its own:
    it is compared on a few tokens before the switch.

    Args:
        model: a causal language model, adapters inside.
    """
    head, decoder = model.get_output_embeddings(), model.get_decoder()
    if type(head) is not torch.nn.Linear or head.weight.requires_grad or decoder is model:
        return False

    def forward(
        self: PreTrainedModel,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        answers: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """Return the loss alone: the mean over labelled tokens, or the sum over ``num_items_in_batch``.

        ``answers`` are the `answer_positions` of the labels, where they are known already.
        """
        answers = answer_positions(labels) if answers is None else answers
        hidden = self.get_decoder()(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **kwargs)[0]
        targets = labels[:, 1:].flatten()[answers]
        count = len(targets) if num_items_in_batch is None else num_items_in_batch
        return CausalLMOutput(loss=summed_loss(hidden[:, :-1].flatten(0, 1)[answers], head, targets) / count)

    own = model.forward
    replacement = MethodType(forward, model)
    if not _same_loss(model, own, replacement):
        return False
    model.forward = replacement
    return True


def _same_loss(model: PreTrainedModel, own: Any, replacement: Any) -> bool:
    """Compare two forward functions on a few tokens, without dropout."""
    device = next(model.parameters()).device
    ids = torch.arange(1, 17, device=device)[None] % model.config.get_text_config().vocab_size
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            expected, found = (function(**sample).loss.float() for function in (own, replacement))
    finally:
        model.train(training)
    tolerance = 1e-4 if model.dtype == torch.float32 else 2e-2
    return bool(torch.isclose(expected, found, rtol=tolerance, atol=tolerance))
