"""The adapter's dropout on a CPU, where PyTorch's own can be an eighth of a training step.

PyTorch draws one number after another for every value, and keeps the factors as floats until the backward pass. Here
one draw of 64 bits decides on four values, and one byte a value is kept. On a card PyTorch's is a single kernel.
"""

import torch

BITS = 16  # that decide on a value
WORD = 64 // BITS  # values decided on by one draw


class _Dropout(torch.autograd.Function):
    """Zero each value with a probability of ``share`` 65,536ths, and scale the others so that the mean stays."""

    @staticmethod
    def forward(ctx, values, share):
        """Return the values that are kept, scaled; shapes are those of ``values``."""
        words = torch.empty(-(-values.numel() // WORD), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.int16)[: values.numel()].view(values.shape) >= share - 2 ** (BITS - 1)
        ctx.save_for_backward(kept)
        ctx.scale = 2**BITS / (2**BITS - share)
        return (values * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, upstream):
        """Return the gradient of the values that were kept, scaled alike."""
        (kept,) = ctx.saved_tensors
        return (upstream * kept).mul_(ctx.scale), None


class BitDropout(torch.nn.Dropout):
    """Dropout on a CPU from 16 random bits a value, so with a probability rounded to a 65,536th."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``values`` with some of them zero in training, and as they are else."""
        share = min(round(self.p * 2**BITS), 2**BITS - 1)
        return _Dropout.apply(values, share) if self.training and share else values


def use_bit_dropout(model: torch.nn.Module) -> None:
    """Replace every `torch.nn.Dropout` of a model by a `BitDropout`."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is torch.nn.Dropout:
                setattr(parent, name, BitDropout(child.p))
                getattr(parent, name).train(child.training)
