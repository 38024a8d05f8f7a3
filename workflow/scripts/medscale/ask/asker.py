"""One question, two answers that grow token by token: of the base model and of a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from medscale.ask.adapters import Loaded
from medscale.ask.sampling import SampledDecoder, Sampling
from medscale.ask.study import BASE, Asked, Study
from medscale.base.errors import UserError
from medscale.data.questions import Question, question_of
from medscale.evaluate.decoding import Decoder
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer

HALF = "\ufffd"
"""What a tokenizer shows for a character of which not all bytes are there yet."""


class Growing:
    """An answer that grows by one token a step.

    Attributes:
        side: who answers: ``base``, or the name of the run.
        text: the answer so far.
        n_tokens: how many tokens it has.
        left_out: earlier turns for which the prompt had no room.
        ended: None while it grows; then ``end`` where the model ended it, ``length`` where it was cut.
    """

    def __init__(self, side: str, decoder: Decoder, chat: Chat, prompt: list[int], most: int, left_out: int):
        self.side, self.left_out, self.text = side, left_out, ""
        self.ended: str | None = None
        self._decoder, self._chat, self._prompt, self._most = decoder, chat, prompt, most
        self._stop, self._written = set(chat.stop_ids), []

    @property
    def n_tokens(self) -> int:
        """How many tokens the answer has so far."""
        return len(self._written)

    def step(self) -> None:
        """Let the answer grow by one token, or end it.

        Raises:
            UserError: the memory does not suffice.
        """
        try:
            (token,) = self._decoder.step() if self._prompt is None else self._decoder.join([self._prompt])
        except torch.OutOfMemoryError as error:
            raise UserError(
                "K108",
                f"the card's memory does not suffice for this answer ({str(error).splitlines()[0]}); begin a new "
                "conversation (/new), or lower --max-new-tokens",
            ) from error
        self._prompt = None
        if token in self._stop:
            self.ended = "end"
        else:
            self._written.append(token)
            if len(self._written) == self._most:
                self.ended = "length"
        text = self._chat.answer_text(self._written)
        self.text = text if self.ended else text.rstrip(HALF)

    def steps(self) -> Iterator["Growing"]:
        """Let the answer grow to its end, and yield it after each step."""
        while not self.ended:
            self.step()
            yield self


class Side(NamedTuple):
    """One of the two who answer, with what was said so far."""

    name: str
    turns: tuple[tuple[str, str], ...] = ()


class Asker:
    """Asks the runs of a study, one at a time, with one model in memory.

    Attributes:
        run: the run that is asked now.
    """

    def __init__(self, study: Study):
        self.study, self._loaded = study, Loaded(study.manifest)
        self.run: Asked | None = None
        self._chat: Chat | None = None

    def switch(self, name: str) -> Asked:
        """Ask another run from now on; what is in memory already stays.

        Raises:
            UserError: there is no such run, or it or its base model cannot be loaded. The former run stays.
        """
        run = self.study.asked(name)
        chat = Chat(load_tokenizer(str(self.study.manifest), run.model), **run.chat)
        try:
            self._loaded.take(run)
        except UserError:
            if self.run:
                self._loaded.take(self.run)
            raise
        self.run, self._chat = run, chat
        return run

    def sides(self) -> list[Side]:
        """Return who answers at the beginning of a conversation: the base model and the run."""
        return [Side(BASE)] if self.run.adapter is None else [Side(BASE), Side(self.run.name)]

    def test_question(self, row: Mapping[str, Any]) -> Question:
        """Return the question of a row of the test set, with as many of its own earlier turns as prediction tells."""
        (question,) = self._chat.fitted([question_of(row)], [row["answer"]], self.run.max_length)
        return question

    def ask(
        self,
        question: str | Question,
        sides: Sequence[Side],
        sampling: Sampling = Sampling(),  # noqa: B008 — a tuple that nothing changes
        max_new_tokens: int | None = None,
    ) -> list[Growing]:
        """Return an answer of each side that has not begun to grow.

        Greedy answers are those of the study: the same prompt, end tokens, precision and base. In a conversation, as
        many earlier turns are told as leave room for a whole answer within the length that the run was trained with.

        Args:
            question: what is asked; a `Question` may bring turns of its own, which then are told before all others.
            sides: who answers, each with its own turns.
            sampling: how tokens are chosen.
            max_new_tokens: tokens of the longest answer; None for the study's.

        Raises:
            UserError: the question is empty, or leaves no room for an answer.
        """
        asked = question if isinstance(question, Question) else Question(question.strip())
        if not asked.text.strip():
            raise UserError("K106", "the question is empty; type one, or /help")
        most = max_new_tokens or self.study.max_new_tokens
        return [self._growing(asked, side, sampling, most) for side in sides]

    def _growing(self, asked: Question, side: Side, sampling: Sampling, most: int) -> Growing:
        chat, model = self._chat, self._loaded.voice(tuned=side.name != BASE)
        context = _context(model.config)
        longest = min(self.run.max_length, context)
        alone = len(chat.prompt_ids(asked._replace(history=())))
        if alone >= longest:
            raise UserError(
                "K107",
                f"the question has {alone} tokens with what the template puts around it, and must have fewer than "
                f"{longest} (training.max_length); shorten it",
            )
        whole = asked._replace(history=(*asked.history, *side.turns))
        told = whole
        if side.turns:
            (told,) = chat.fitted([whole], [""], max(longest - most, alone + len(chat.answer_ids(""))))
        prompt = chat.prompt_ids(told)
        most = min(most, context - len(prompt))
        pad = chat.tokenizer.pad_token_id
        decoder = SampledDecoder(model, pad, sampling) if sampling.temperature else Decoder(model, pad)
        return Growing(side.name, decoder, chat, prompt, most, len(whole.history) - len(told.history))


def side_by_side(answers: Sequence[Growing]) -> Iterator[Sequence[Growing]]:
    """Let answers grow together, a token each at a time, and yield them after each round until all have ended."""
    while growing := [answer for answer in answers if not answer.ended]:
        for answer in growing:
            answer.step()
        yield answers


def _context(config: Any) -> int:
    """Return how many tokens a model can attend to."""
    return getattr(config.get_text_config(decoder=True), "max_position_embeddings", None) or 2**31
