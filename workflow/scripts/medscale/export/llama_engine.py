"""A GGUF file in llama.cpp, by way of llama-cpp-python where that is installed: greedy answers and likelihoods."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from medscale.evaluate.generation import Answer, Likelihood
from medscale.model.chat import Chat

ROOM = 4096  # tokens of the longest conversation that is measured


class LlamaModel:
    """A GGUF file that answers greedily, one question after another.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path):
        from llama_cpp import Llama

        self.kind = path.stem.rpartition("-")[2]
        self.model = Llama(
            str(path),
            n_ctx=ROOM,
            n_gpu_layers=-1,
            n_threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or None,
            logits_all=True,
            verbose=False,
        )
        self.name = f"llama-cpp-python {version('llama-cpp-python')}"

    def close(self) -> None:
        """Free the model while Python still stands; at its very end the library fails to."""
        self.model.close()

    def tokenize(self, text: str) -> list[int]:
        """Return the ids that the file's own tokenizer gives a prompt."""
        return self.model.tokenize(text.encode(), add_bos=False, special=True)

    def generate(self, chat: Chat, questions: list[Any], max_new_tokens: int) -> list[Answer]:
        """Return the greedy answers: at each step the token of the largest logit, without any penalty."""
        stop = set(chat.stop_ids)
        return [
            self._answer(chat, question, max_new_tokens, stop) for question in tqdm(questions, "answers", mininterval=2)
        ]

    def _answer(self, chat: Chat, question: Any, max_new_tokens: int, stop: set[int]) -> Answer:
        written: list[int] = []
        self.model.reset()
        self.model.eval(chat.prompt_ids(question))
        while len(written) < max_new_tokens:
            token = int(np.argmax(self._logits(self.model.n_tokens - 1)))
            if token in stop:
                break
            written.append(token)
            if len(written) < max_new_tokens:
                self.model.eval([token])
        return Answer(chat.answer_text(written), len(written))

    def likelihoods(self, chat: Chat, pairs: list[tuple[Any, str]], max_length: int) -> list[Likelihood | None]:
        """Return the likelihood of each reference, of samples that are built as for training."""
        return [self._likelihood(chat.sample(*pair, max_length)) for pair in tqdm(pairs, "references", mininterval=2)]

    def _likelihood(self, sample: Any) -> Likelihood | None:
        if sample is None:
            return None
        self.model.reset()
        self.model.eval(sample.input_ids)
        places = [place for place, label in enumerate(sample.labels) if label >= 0]
        logits = np.stack([self._logits(place - 1) for place in places]).astype(np.float64)
        top = logits.max(axis=1)
        normaliser = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        chosen = logits[np.arange(len(places)), [sample.input_ids[place] for place in places]]
        return Likelihood(float((normaliser - chosen).sum()), len(places))

    def _logits(self, place: int) -> np.ndarray:
        return self.model.scores[place]
