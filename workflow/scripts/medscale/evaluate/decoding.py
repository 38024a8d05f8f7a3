"""Greedy decoding of many rows at once, which come and go one by one."""

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from medscale.model.padding import left_padded


class Decoder:
    """Rows that a model continues greedily, one token a step.

    The rows end at the same column of one cache of keys and values, and are padded on the left. A row that leaves takes
    its part of the cache with it, so that a step costs what the remaining rows cost; a new one is computed alone and
    then put beside them. What a row becomes does not depend on the others, up to rounding.
    """

    def __init__(self, model: torch.nn.Module, pad_token_id: int):
        self.model, self.pad_token_id = model, pad_token_id
        self._cache: DynamicCache | None = None
        self._mask = torch.empty(0)  # (rows, width), 1 at tokens
        self._tokens = torch.empty(0)  # (rows,), the last of each row, not yet in the cache

    @property
    def joinable(self) -> bool:
        """Whether new rows can join the present ones: not where a layer keeps a window or a running state."""
        return self._cache is None or all(type(layer) is DynamicLayer for layer in self._cache.layers)

    def join(self, prompts: list[list[int]]) -> list[int]:
        """Add a row for each prompt, after the present ones, and return the first new token of each added row."""
        cache = DynamicCache(config=self.model.config.get_text_config(decoder=True))
        ids, mask = left_padded(prompts, self.pad_token_id, self.model.device)
        tokens = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
        if self._cache is None:
            self._cache, self._mask, self._tokens = cache, mask, tokens
        else:
            for present, new in zip(self._cache.layers, cache.layers, strict=True):
                present.keys, new.keys = _stacked(present.keys, new.keys, 2), None
                present.values, new.values = _stacked(present.values, new.values, 2), None
            self._mask = _stacked(self._mask, mask, 1)
            self._tokens = torch.cat([self._tokens, tokens])
        return tokens.tolist()

    def step(self) -> list[int]:
        """Continue every row by one token, and return them."""
        self._mask = pad(self._mask, (0, 1), value=1)
        positions = self._mask.sum(1, keepdim=True) - 1
        self._tokens = self._forward(self._tokens[:, None], self._mask, positions, self._cache)
        return self._tokens.tolist()

    def keep(self, places: list[int]) -> None:
        """Let all rows leave but those at these places, and drop the columns that were only theirs."""
        if not places or self._cache is None:
            self._cache = None
            return
        index = torch.tensor(places, device=self._mask.device)
        self._cache.reorder_cache(index)
        self._mask, self._tokens = self._mask[index], self._tokens[index]
        unused = self._mask.shape[1] - int(self._mask.sum(1).max())
        if unused and self.joinable:
            self._mask = self._mask[:, unused:]
            for layer in self._cache.layers:
                # A copy, because a view would keep the columns in memory.
                layer.keys, layer.values = layer.keys[:, :, unused:].clone(), layer.values[:, :, unused:].clone()

    @torch.inference_mode()
    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache | None
    ) -> torch.Tensor:
        """Return the next token of each row, (rows,)."""
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return self._chosen(output.logits[:, -1])

    def _chosen(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the likeliest token of each row of logits, (rows, vocabulary)."""
        return logits.argmax(-1)


def _stacked(above: torch.Tensor, below: torch.Tensor, axis: int) -> torch.Tensor:
    """Return one tensor above the other along the first axis, the narrower one with zeros at its left."""
    width = max(above.shape[axis], below.shape[axis])
    after = above.dim() - 1 - axis  # axes behind the one to widen, whose widths stay
    parts = (pad(part, (0, 0) * after + (width - part.shape[axis], 0)) for part in (above, below))
    return torch.cat(list(parts))
