"""Answers and likelihoods with vLLM, where it is installed.

It answers for the base model and for LoRA, whose adapter is applied beside the frozen weights. For QLoRA it has no
part: vLLM quantises by itself, and its 4-bit model is not the one that was trained.
"""

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.base.machine import GIB
from medscale.data.questions import Question
from medscale.evaluate.generation import Answer, Generation, Likelihood, Scored
from medscale.evaluate.kept_answers import Shelf
from medscale.model.chat import Chat, Sample
from medscale.model.hardware import ROOM

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM's ``max_lora_rank`` may have; an adapter needs one that is not below its rank."""
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


class VllmModel:
    """A model in vLLM, with an adapter or without.

    Args:
        folder: a Hugging Face model directory.
        adapter: folder of a LoRA adapter in PEFT's format, or None.
        precision: bf16, fp16 or fp32.
        batch_size: how many questions are answered at once, at most.
        longest: tokens of the longest prompt and its answer.

    Raises:
        UserError: vLLM is not installed, or cannot run this model or this adapter on this machine.

    Attributes:
        name: vllm and its version.
    """

    def __init__(self, folder: str | Path, adapter: Path | None, precision: str, batch_size: int, longest: int):
        if find_spec("vllm") is None:
            raise UserError(
                "E108",
                "evaluation.engine = vllm: the package vllm is not installed beside this Python; install it as "
                "docs.vllm.ai tells, or set evaluation.engine: transformers",
            )
        if adapter is not None and precision == "fp32" and torch.cuda.is_available():
            raise UserError(
                "E109",
                "training.precision = fp32: on a card, vLLM runs adapters in 16 bits only; set evaluation.engine: "
                "transformers",
            )
        # In this process, so that a signal that ends the job ends the engine with it.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        options = {} if adapter is None else {"enable_lora": True, "max_lora_rank": rank_with_room(adapter)}
        self._adapter = None
        try:
            import vllm
            from vllm.lora.request import LoRARequest

            self.name = f"vllm {vllm.__version__}"
            self._llm = vllm.LLM(
                model=str(folder),
                skip_tokenizer_init=True,
                trust_remote_code=False,
                load_format="safetensors",
                generation_config="vllm",
                dtype=DTYPES[precision],
                max_model_len=longest,
                max_num_seqs=batch_size,
                seed=0,
                **_memory(),
                **options,
            )
            if adapter is not None:
                self._adapter = LoRARequest("adapter", 1, str(adapter.resolve()))
                self._llm.llm_engine.add_lora(self._adapter)
        except (ImportError, ValueError, RuntimeError) as error:
            raise UserError(
                "E110",
                f"evaluation.engine = vllm: it cannot run {adapter or folder} here: {' '.join(str(error).split())}; "
                "set evaluation.engine: transformers to do without it",
            ) from error

    def generate(
        self,
        chat: Chat,
        questions: Sequence[str | Question],
        max_new_tokens: int,
        batch_size: int,
        label: str,
        kept: Shelf | None = None,
    ) -> Generation:
        """Return the greedy answer to each question; see `generation.generate`.

        Args:
            chat, questions, max_new_tokens: as there.
            batch_size, label: of no use here; the engine was told when it was made.
            kept: the engine gives all answers at once, so they are kept when the last has ended, and not before.
        """
        kept, stop = Shelf() if kept is None else kept, chat.stop_ids
        if len(kept.found) == len(questions) > 0:
            return Generation([Answer(*kept.found[i]) for i in range(len(questions))], [])
        prompts = [chat.prompt_ids(question) for question in questions]
        outputs = self._run(prompts, max_tokens=max_new_tokens, stop_token_ids=stop)
        answers = []
        for output in outputs:
            tokens = list(output.outputs[0].token_ids)
            if tokens and tokens[-1] in stop:
                tokens.pop()
            answers.append(Answer(chat.answer_text(tokens), len(tokens)))
        kept.add(dict(enumerate(answers)), [])
        return Generation(answers, [])

    def likelihoods(
        self,
        chat: Chat,
        pairs: Sequence[tuple[str | Question, str]],
        max_length: int,
        kept: Shelf | None = None,
    ) -> Scored:
        """Return the likelihood of each reference answer; see `generation.likelihoods`."""
        samples = [chat.sample(question, answer, max_length) for question, answer in pairs]
        known = [sample for sample in samples if sample is not None]
        outputs = self._run([sample.input_ids for sample in known], max_tokens=1, prompt_logprobs=0)
        found = iter([_likelihood(sample, output) for sample, output in zip(known, outputs, strict=True)])
        return Scored([None if sample is None else next(found) for sample in samples], [])

    def _run(self, prompts: list[list[int]], **parameters: Any) -> list[Any]:
        """Return vLLM's outputs in the order of the prompts."""
        from vllm import SamplingParams

        return self._llm.generate(
            [{"prompt_token_ids": prompt} for prompt in prompts],
            # Where an answer ends is said by stop_token_ids alone, which hold the model's own end tokens too.
            SamplingParams(temperature=0.0, detokenize=False, ignore_eos=True, **parameters),
            lora_request=self._adapter,
        )


def _memory() -> dict[str, Any]:
    """Return how much memory the engine may take: most of what is free on the card, or 1 GiB of cache on a CPU."""
    if not torch.cuda.is_available():
        return {"kv_cache_memory_bytes": GIB}
    free, total = torch.cuda.mem_get_info()
    return {"gpu_memory_utilization": ROOM * free / total}


def rank_with_room(adapter: Path) -> int:
    """Return the smallest of vLLM's ranks that an adapter fits.

    Raises:
        UserError: its rank is larger than any of them.
    """
    rank = read_json(adapter / "adapter_config.json")["r"]
    for room in RANKS:
        if rank <= room:
            return room
    raise UserError(
        "E111",
        f"evaluation.engine = vllm: it runs adapters of rank {RANKS[-1]} at most, and lora.r is {rank}; set "
        "evaluation.engine: transformers",
    )


def _likelihood(sample: Sample, output: Any) -> Likelihood:
    """Return the likelihood of a sample's answer from the log-probabilities of its tokens."""
    places = [place for place, label in enumerate(sample.labels) if label >= 0]
    total = sum(output.prompt_logprobs[place][sample.input_ids[place]].logprob for place in places)
    if not math.isfinite(total):
        raise UserError(
            "E103",
            f"evaluation.engine = vllm: the likelihood of an answer is {-total}: values of this model are larger than "
            "the format allows; set training.precision to bf16 or fp32",
        )
    return Likelihood(-total, len(places))
