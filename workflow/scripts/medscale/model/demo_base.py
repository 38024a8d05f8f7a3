"""The base model that the demo ships: a small Qwen2 pre-trained once on texts about conditions that do not exist.

Texts are made while it trains, a pool at a time, and none twice. A training that was stopped goes on from its last
checkpoint, as if it had not been.
"""

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from medscale.base.files import atomic_path
from medscale.data.demo.fiction import Document, Fiction
from medscale.model.chat import IGNORED, Chat
from medscale.model.tiny import new_model, train_tokenizer

POOL = 16  # batches whose texts are made and sorted by length together
TOKENIZER_TEXTS = 12_000
WORDS = r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]|\s"  # no token joins a mark to the word behind it
HELD_OUT = 96  # texts of each kind on which it is measured
COPIES, COPY_PARTS, COPY_GAPS = 64, (4, 12), (0, 48)  # rows of random tokens; tokens said twice, and between


class Stage(NamedTuple):
    """What is learned from a step on.

    Attributes:
        step: the first step; a multiple of `POOL`.
        whole: share of the dialogues whose question is learned too.
        repetitions: share of the texts that say names again.
        copies: share of the batches that are rows of random tokens said twice.
    """

    step: int
    whole: float
    repetitions: float
    copies: float


# To say the name that was asked about is the hardest for so small a model in so little time: from dialogues alone it
# was not learned in 2,400 steps. Random tokens that are said twice teach it, if nothing else was learned before.
STAGES = (Stage(0, 0.0, 0.0, 1.0), Stage(128, 0.3, 0.1, 0.1), Stage(2048, 0.2, 0.05, 0.0))
WARM_UP, COOL_DOWN = 40, 0.4  # steps; share of the steps
BETAS, WEIGHT_DECAY = (0.9, 0.95), 0.02
LOOK, MATCH, BESIDE, SAY, QUIET = 6.0, 1.4, 0.15, 0.3, 0.03  # of `look_back`
COLUMNS = ("step", "tokens", "seconds", "learning_rate", "loss", "loss_met_again", "loss_met_once", "loss_of_names")
SYSTEM_PROMPT = "你是医生。"


class Texts:
    """Batches of token ids and labels, a function of the seed and the number of the pool."""

    def __init__(self, fiction: Fiction, tokenizer: PreTrainedTokenizerFast, batch: int, seed: int):
        self.fiction, self.tokenizer, self.batch, self.seed = fiction, tokenizer, batch, seed
        self.chat = Chat(tokenizer, SYSTEM_PROMPT)

    def pool(self, number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of one pool."""
        rng = Random(f"pool/{self.seed}/{number}")
        stage = stage_of(number * POOL)
        documents = self.fiction.documents(self.batch * POOL, f"{self.seed}/{number}", stage.repetitions)
        rows = [self.row(document, whole=rng.random() < stage.whole) for document in documents]
        rows.sort(key=lambda row: len(row[0]))
        batches = [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]
        rng.shuffle(batches)
        generator = torch.Generator().manual_seed(rng.randrange(2**32))
        for batch in batches:
            copied = stage.copies and rng.random() < stage.copies
            yield self.copies(rng, generator) if copied else self.tensors(batch)

    def copies(self, rng: Random, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of random tokens, a part of which is said again; that part is learned."""
        said, between = rng.randint(*COPY_PARTS), rng.randint(*COPY_GAPS)
        ids = torch.randint(len(self.tokenizer), (COPIES, said + between), generator=generator)
        again = ids[:, :said]
        labels = torch.cat([torch.full_like(ids, IGNORED), again], 1)
        labels[:, ids.shape[1]] = IGNORED  # where it begins, nothing can tell
        return torch.cat([ids, again], 1), labels

    def row(self, document: Document, whole: bool) -> tuple[list[int], list[int]]:
        """Return ids and labels of one text: of a dialogue the answer is learned, of prose everything."""
        if not document.question:
            ids = self.tokenizer.encode(f"<|endoftext|>{document.answer}<|endoftext|>")
            return ids, ids
        prompt, answer = self.chat.prompt_ids(document.question), self.chat.answer_ids(document.answer)
        return prompt + answer, (prompt if whole else [IGNORED] * len(prompt)) + answer

    def tensors(self, rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows as two tensors (rows, longest); what follows a text is seen by none of its tokens."""
        width = max(len(ids) for ids, _ in rows)
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows])
        return ids, labels

    def held_out(self, again: bool, names: bool = False) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return dialogues that no pool holds, about conditions that are met again, or about ones met only here.

        Args:
            again: which of the two.
            names: whether only the tokens of the conditions' names in the answers are labelled.
        """
        rng = Random(f"held out/{self.seed}")
        rows = []
        while len(rows) < HELD_OUT:
            condition = rng.choice(self.fiction.residents) if again else self.fiction.condition(rng)
            document = self.fiction.dialogue(condition, rng)
            ids, labels = self.row(document, whole=False)
            rows.append((ids, self.only(condition.name, document.answer, labels) if names else labels))
        return [self.tensors(rows[start : start + 32]) for start in range(0, HELD_OUT, 32)]

    def only(self, name: str, answer: str, labels: list[int]) -> list[int]:
        """Return the labels of a row without those of other tokens than the name's in its answer."""
        spans = self.tokenizer(answer, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
        begun = next(place for place, label in enumerate(labels) if label != IGNORED)
        at = answer.find(name)
        said = {begun + n for n, (start, end) in enumerate(spans) if 0 <= at <= start and end <= at + len(name)}
        return [label if place in said else IGNORED for place, label in enumerate(labels)]


def answer_loss(model: Qwen2ForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of the labelled tokens; the others never meet the head."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    learned = labels[:, 1:] != IGNORED
    return cross_entropy(model.lm_head(hidden[learned]), labels[:, 1:][learned])


@torch.no_grad()
def mean_loss(model: Qwen2ForCausalLM, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the mean of the batches' losses."""
    return sum(answer_loss(model, *batch).item() for batch in batches) / len(batches)


@torch.no_grad()
def look_back(model: Qwen2ForCausalLM, seed: int) -> None:
    """Let an untrained model begin with heads that find what came after the present token the last time (in place).

    Two heads of the first layer look at the token before, by their biases alone: a rotary embedding turns a key's bias
    by its position, so that the products are largest one token back. They write what they see beside it. Two heads of
    the second layer look where it equals the present token, and say what stands there (induction heads: Olsson et al.,
    2022, arXiv:2209.11895; weights of a trained model's structure to begin with: Trockman and Kolter, 2023,
    arXiv:2305.09828). Left to themselves, so few steps do not find them. All of it is trained like the rest.
    """
    config = model.config
    width, size = config.hidden_size, config.hidden_size // config.num_attention_heads
    shared = config.num_attention_heads // config.num_key_value_heads
    generator = torch.Generator().manual_seed(seed)
    spaces, other = (torch.linalg.qr(torch.randn(width, width, generator=generator))[0].T.split(size) for _ in "12")
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight *= QUIET
        layer.mlp.down_proj.weight *= QUIET
    frequencies = config.rope_parameters["rope_theta"] ** (-torch.arange(size // 2) / (size // 2))
    strength = LOOK * (torch.arange(size // 2) < 4)  # the fast ones tell neighbours apart
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    for head in range(min(2, config.num_key_value_heads)):
        queries = slice(head * shared * size, (head * shared + 1) * size)
        keys = slice(head * size, (head + 1) * size)
        (seen, beside), said = spaces[2 * head : 2 * head + 2], other[head]
        first.q_proj.weight[queries] *= 0.1
        first.k_proj.weight[keys] *= 0.1
        first.q_proj.bias[queries] = torch.cat([strength, torch.zeros(size // 2)])
        first.k_proj.bias[keys] = torch.cat([strength * frequencies.cos(), strength * frequencies.sin()])
        first.v_proj.weight[keys] = seen
        first.o_proj.weight[:, queries] = BESIDE * beside.T
        second.q_proj.weight[queries] = MATCH * seen
        second.k_proj.weight[keys] = MATCH * beside
        second.v_proj.weight[keys] = said
        second.o_proj.weight[:, queries] = SAY * said.T


def share_of_peak(step: int, steps: int) -> float:
    """Return the learning rate as a share of its peak: a rise, a level, and a fall at the end."""
    return min(1.0, (step + 1) / WARM_UP, max(0.01, (steps - step) / (COOL_DOWN * steps)))


def stage_of(step: int) -> Stage:
    """Return the one of `STAGES` that a step belongs to."""
    return [stage for stage in STAGES if stage.step <= step][-1]


def pretrain(fiction: Fiction, settings: dict[str, Any], folder: Path, work: Path) -> None:
    """Pre-train, and write tokenizer, weights in half precision, and the log into ``folder``.

    Args:
        fiction: makes the texts.
        settings: vocab_size, hidden_size, layers (see `tiny.new_model`), steps, batch (texts), seed,
            learning_rate (its peak), checkpoint_steps (a multiple of `POOL`).
        folder: of the model.
        work: of the checkpoint and the tokenizer while it trains.
    """
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "tokenizer"
    if not kept.is_dir():
        texts = fiction.vocabulary(TOKENIZER_TEXTS, str(settings["seed"]))
        train_tokenizer(texts, settings["vocab_size"], WORDS).save_pretrained(kept)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(kept)
    model = new_model(tokenizer, settings, settings["seed"])
    look_back(model, settings["seed"])
    optimizer = torch.optim.AdamW(model.parameters(), settings["learning_rate"], betas=BETAS, weight_decay=WEIGHT_DECAY)
    texts = Texts(fiction, tokenizer, settings["batch"], settings["seed"])
    state: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0, "log": []}
    if (work / "checkpoint.pt").is_file():
        saved = torch.load(work / "checkpoint.pt", weights_only=True)
        model.load_state_dict(saved.pop("model"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        state = saved
    held_out = [texts.held_out(again=True), texts.held_out(again=False), texts.held_out(again=False, names=True)]
    losses: list[float] = []
    before, begun = state["seconds"], time.monotonic()
    while state["step"] < settings["steps"]:
        for ids, labels in texts.pool(state["step"] // POOL):
            for group in optimizer.param_groups:
                group["lr"] = settings["learning_rate"] * share_of_peak(state["step"], settings["steps"])
            loss = answer_loss(model, ids, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            state["step"] += 1
            state["tokens"] += ids.numel()
        if state["step"] % settings["checkpoint_steps"] == 0 or state["step"] >= settings["steps"]:
            state["seconds"] = before + time.monotonic() - begun
            row = [state["step"], state["tokens"], round(state["seconds"]), round(optimizer.param_groups[0]["lr"], 6)]
            measured = (sum(losses) / len(losses), *(mean_loss(model, batches) for batches in held_out))
            losses = []
            state["log"].append([*row, *(round(loss, 4) for loss in measured)])
            print(dict(zip(COLUMNS, state["log"][-1], strict=True)), flush=True)
            with atomic_path(work / "checkpoint.pt") as temporary:
                torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), **state}, temporary)
    tokenizer.save_pretrained(folder)
    model.eval().to(torch.float16).save_pretrained(folder)
    with atomic_path(folder / "pretraining.csv") as temporary, open(temporary, "w", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([COLUMNS, *state["log"]])
