"""Text that looks like a model's control tokens: a patient may type `<|im_end|>`, and it stays text.

A tokenizer reads each of its special tokens wherever it stands, in the template or in a row. So what the rows say is
told apart from what the template says: a row's look-alikes are masked before the template is filled in, and each piece
of text between the template's own control tokens is encoded as text alone. Text without look-alikes is encoded as ever.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

MARKUP = re.compile(r"<.+>|\[.+\]", re.DOTALL)
PRIVATE = range(0xF0000, 0xFFFFE)


class Rendered(str):
    """What a chat template made of a conversation.

    Attributes:
        masked: the same text with a private character in the place of each look-alike in a message; None where no
            message has any.
        masks: what each of these characters stands for.
    """

    masked: str | None = None
    masks: dict[str, str]


class ControlText:
    """Tells a tokenizer's control tokens from text that only looks like them.

    Control tokens are its special tokens, and of the other added ones those that are markup, such as `<think>` and
    `[INST]`: words that were added to a vocabulary stay words.

    Args:
        tokenizer: a Hugging Face tokenizer, fast or slow.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        added = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
        chosen = {text for text, token in added.items() if token.special or MARKUP.fullmatch(text)}
        chosen |= set(tokenizer.all_special_tokens)
        tokens = sorted((text for text in chosen if len(text) > 1), key=lambda text: (-len(text), text))
        self.ids = {text: tokenizer.convert_tokens_to_ids(text) for text in tokens}
        self.pattern = re.compile("|".join(map(re.escape, tokens)) or r"(?!)")
        self.strips = {text: (token.lstrip, token.rstrip) for text, token in added.items()}
        self._known = set(self.ids.values()) - {tokenizer.unk_token_id}
        self._inner = self._differs_inside()

    def count(self, text: str) -> int:
        """Return how many look-alikes of control tokens a text has."""
        return sum(1 for _ in self.pattern.finditer(text))

    def masks(self, texts: Iterable[str]) -> dict[str, str]:
        """Return for each look-alike in the texts a character that none of them holds; empty where there are none."""
        texts = list(texts)
        found = sorted({match for text in texts for match in self.pattern.findall(text)})
        if not found:
            return {}
        used = set().union(*texts)
        free = (chr(code) for code in PRIVATE if chr(code) not in used)
        return dict(zip(found, free, strict=False))

    def mask(self, text: str, masks: dict[str, str]) -> str:
        """Return the text with its look-alikes masked."""
        return self.pattern.sub(lambda match: masks[match[0]], text) if masks else text

    def rendered(self, text: str, masks: dict[str, str]) -> Rendered:
        """Return what a template made of messages in which the look-alikes were masked so."""
        back = {mask: token for token, mask in masks.items()}
        made = Rendered(_unmasked(text, back))
        made.masks, made.masked = back, text if back else None
        return made

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text: in a `Rendered`, the template's control tokens are such, in any other none is.

        The tokenizer works with all cores on what has no look-alikes.
        """
        result: list[list[int]] = [[]] * len(texts)
        plain = []
        for place, text in enumerate(texts):
            if isinstance(text, Rendered):
                if text.masked is None:
                    plain.append(place)
                else:
                    result[place] = self._rendered_ids(text)
            elif self.pattern.search(text):
                result[place] = self._text_ids(text, first=True)
            else:
                plain.append(place)
        if plain:
            found = self.tokenizer([str(texts[place]) for place in plain], add_special_tokens=False)["input_ids"]
            for place, ids in zip(plain, found, strict=True):
                result[place] = ids
        return result

    def _rendered_ids(self, text: Rendered) -> list[int]:
        ids: list[int] = []
        matches = [*self.pattern.finditer(text.masked)]
        edges = [0, *(edge for match in matches for edge in match.span()), len(text.masked)]
        for place, (start, end) in enumerate(pairwise(edges)):
            piece = text.masked[start:end]
            if place % 2:
                ids.append(self.ids[piece])
                continue
            if place and self.strips.get(matches[place // 2 - 1][0], (False, False))[1]:
                piece = piece.lstrip()
            if place // 2 < len(matches) and self.strips.get(matches[place // 2][0], (False, False))[0]:
                piece = piece.rstrip()
            if piece:
                ids += self._text_ids(_unmasked(piece, text.masks), first=place == 0)
        return ids

    def _text_ids(self, text: str, first: bool) -> list[int]:
        """Return the ids of a text that holds no control token, whatever it looks like."""
        ids = self._encoded(text, first)
        if not self._known.intersection(ids):
            return ids
        # An added token that is not special is found all the same, and some vocabularies hold `</s>` as a word. Cut
        # behind its first character, it is no token any more.
        cuts = [match.start() + 1 for match in self.pattern.finditer(text)] or [len(text) // 2]
        parts = [text[start:end] for start, end in pairwise([0, *cuts, len(text)]) if start < end]
        if len(parts) == 1:
            return ids
        return [token for place, part in enumerate(parts) for token in self._text_ids(part, first and place == 0)]

    def _encoded(self, text: str, first: bool) -> list[int]:
        options = {"add_special_tokens": False, "split_special_tokens": True}
        if first or not self._inner:
            return self.tokenizer(text, **options)["input_ids"]
        # At the start of a text, some tokenizers put a space before it; behind a line feed they put none.
        before = self.tokenizer("\n", **options)["input_ids"]
        ids = self.tokenizer("\n" + text, **options)["input_ids"]
        if ids[: len(before)] == before:
            return ids[len(before) :]
        return self.tokenizer(text, **options)["input_ids"]

    def _differs_inside(self) -> bool:
        """Return whether a text has other ids behind a control token than at the start."""
        for token, number in self.ids.items():
            alone, behind = (self.tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("问", token + "问"))
            return behind != [number, *alone]
        return False


def _unmasked(text: str, masks: dict[str, str]) -> str:
    return text.translate({ord(mask): token for mask, token in masks.items()}) if masks else text
