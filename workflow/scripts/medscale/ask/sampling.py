"""The next token drawn by chance instead of the likeliest one, for who asks for it."""

from typing import NamedTuple

import torch

from medscale.evaluate.decoding import Decoder


class Sampling(NamedTuple):
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest, as the study does; above 0, the logits are divided by it.
        top_p: tokens are drawn from the likeliest ones that together have this probability.
        seed: the same seed gives the same answer to the same question.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 42


class SampledDecoder(Decoder):
    """A `Decoder` that draws each next token."""

    def __init__(self, model: torch.nn.Module, pad_token_id: int, sampling: Sampling):
        super().__init__(model, pad_token_id)
        self.sampling = sampling
        # On the CPU, whose generator is the same everywhere.
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def _chosen(self, logits: torch.Tensor) -> torch.Tensor:
        return draw(logits.float().cpu(), self.sampling, self._generator).to(logits.device)


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """Return one token a row, drawn by the probabilities of its logits, (rows, vocabulary)."""
    probabilities, tokens = (logits / sampling.temperature).softmax(-1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities.masked_fill(before >= sampling.top_p, 0)
    return tokens.gather(-1, torch.multinomial(probabilities, 1, generator=generator)).squeeze(-1)
