"""Time MedScale's batched answers against one `generate` a question: same model, same prompts, the same answers.

python benchmarks/prediction.py                        # a small Qwen2 that has learned to end its answers
python benchmarks/prediction.py --size ci --output prediction.json
python benchmarks/prediction.py --random qwen2.5-3b --prompts 256   # on CUDA: the true shape, random weights

The small model is pre-trained on the demo's corpus for a minute, so that answers end where they end and a batch has to
wait for its longest. Its vocabulary is then widened to Qwen's 151,936 tokens with weights of 0, which no answer takes.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, median, told
from training_inputs import SHAPES, SYSTEM_PROMPT

from medscale.chat import Chat
from medscale.demo_corpus import generate as demo_rows
from medscale.demo_corpus import load_conditions
from medscale.errors import run_script
from medscale.files import write_json
from medscale.generation import generate
from medscale.hardware import MemoryMeter, device, hardware, precision, torch_dtype, use_one_device
from medscale.tiny_model import new_model, pretrain, train_tokenizer

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "tokenizers")
SIZES = {
    "ci": {"hidden": 64, "layers": 2, "steps": 30, "prompts": 12, "max_new_tokens": 16, "rounds": 1},
    "full": {"hidden": 256, "layers": 4, "steps": 200, "prompts": 128, "max_new_tokens": 128, "rounds": 3},
}
VOCABULARY = 151_936
TEXTS = 3000


class Recorder:
    """Keeps what a model's `generate` was asked and what it answered, to compare after the clock has stopped."""

    def __init__(self, model: torch.nn.Module):
        self.calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        own = model.generate

        def watched(**keywords: Any) -> torch.Tensor:
            output = own(**keywords)
            self.calls.append((keywords["input_ids"], keywords["attention_mask"], output))
            return output

        model.generate = watched

    def answers(self, stop: set[int]) -> dict[tuple[int, ...], list[int]]:
        """Return the tokens of each answer by its prompt, up to its first stop token, and forget the calls."""
        found = {}
        for ids, mask, output in self.calls:
            for prompt, kept, row in zip(ids, mask, output[:, ids.shape[1] :].tolist(), strict=True):
                end = next((place for place, token in enumerate(row) if token in stop), len(row))
                found[tuple(prompt[kept.bool()].tolist())] = row[:end]
        self.calls.clear()
        return found


def main() -> None:
    args = parse_arguments()
    use_one_device()
    torch.set_num_threads(args.threads)
    result = {"schema_version": 1, **circumstances(PACKAGES), "hardware": hardware()}
    size = SIZES[args.size]
    model, chat, questions, source = make_model(args, size)
    limit, batch_size = args.max_new_tokens or size["max_new_tokens"], args.batch_size
    result |= {"model": source, "precision": str(model.dtype).removeprefix("torch."), "prompts": len(questions)}
    result |= {"parameters": model.num_parameters(), "max_new_tokens": limit, "batch_size": batch_size}
    recorder = Recorder(model)
    ways = {
        "medscale": lambda some: generate(model, chat, some, limit, batch_size, "batches"),
        "one_by_one": lambda some: one_by_one(model, chat, some, limit),
    }
    for way in ways.values():
        way(questions[:2])  # the first call of each loads what is loaded once
    recorder.calls.clear()
    rounds, answers = [], {}
    for number in range(args.rounds or size["rounds"]):
        seconds = {}
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            seconds[name] = timed(ways[name], questions)
            answers[name] = recorder.answers(set(chat.stop_ids))
        rounds.append(seconds)
        print(seconds, file=sys.stderr, flush=True)
    result |= compared(rounds, answers, len(questions))
    result |= {"peak_memory_gib": MemoryMeter().allocated(), "load_average_after": load_average()}
    print(table(result))
    if args.output:
        write_json(args.output, result)


def make_model(args: argparse.Namespace, size: dict[str, int]) -> tuple[torch.nn.Module, Chat, list[str], str]:
    """Return a model on the device, its chat, questions, and what the model is, in words."""
    rows = demo_rows(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), TEXTS, seed=args.seed, noise=0)
    prompts = args.prompts or size["prompts"]
    questions = list(dict.fromkeys(f"{row['title']}\n{row['ask']}" for row in rows))[:prompts]
    tokenizer = train_tokenizer([row["ask"] + row["answer"] for row in rows], 4096)
    chat = Chat(tokenizer, SYSTEM_PROMPT)
    if args.random:
        from transformers import Qwen2Config, Qwen2ForCausalLM

        kind = torch_dtype(precision())
        torch.set_default_dtype(kind)
        torch.manual_seed(args.seed)
        with device():
            model = Qwen2ForCausalLM(Qwen2Config(**SHAPES[args.random], dtype=kind))
        return model.eval(), chat, questions, f"{args.random}, random weights"
    samples = [chat.prompt(f"{row['title']}\n{row['ask']}") + row["answer"] + "<|im_end|>" for row in rows]
    model = new_model(tokenizer, {"hidden_size": size["hidden"], "layers": size["layers"]}, args.seed)
    model = pretrain(model, tokenizer, samples, size["steps"], args.seed)
    learned = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(VOCABULARY, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[learned:] = 0
    source = f"Qwen2, {size['hidden']} wide, {size['layers']} layers, pre-trained on the demo's corpus"
    return model.to(device()).eval(), chat, questions, source


def one_by_one(model: torch.nn.Module, chat: Chat, questions: list[str], max_new_tokens: int) -> list[str]:
    """Answer each question by a call of its own, as a script does that loops over the test set."""
    tokenizer, answers = chat.tokenizer, []
    for question in questions:
        ids = torch.tensor([chat.prompt_ids(question)], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=chat.stop_ids,
                pad_token_id=tokenizer.pad_token_id,
            )
        answers.append(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True).strip())
    return answers


def timed(way: Callable[[list[str]], Any], questions: list[str]) -> float:
    """Return the seconds that one way takes for all questions."""
    began = time.perf_counter()
    way(questions)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return round(time.perf_counter() - began, 3)


def compared(rounds: list[dict[str, float]], answers: dict[str, dict], prompts: int) -> dict[str, Any]:
    """Return medians, the ratio within each round, and how many answers are the same, token for token."""
    ratios = [seconds["one_by_one"] / seconds["medscale"] for seconds in rounds]
    lengths = [len(answer) for answer in answers["one_by_one"].values()]
    ways = {}
    for name in ("medscale", "one_by_one"):
        seconds = median([found[name] for found in rounds])
        ways[name] = {
            "seconds": seconds,
            "samples_per_second": round(prompts / seconds, 3),
            "output_tokens_per_second": round(sum(map(len, answers[name].values())) / seconds, 1),
        }
    equal = sum(answers["medscale"][prompt] == answer for prompt, answer in answers["one_by_one"].items())
    return {
        **ways,
        "rounds": rounds,
        "speedup": {"median": median(ratios, 2), "lowest": round(min(ratios), 2), "highest": round(max(ratios), 2)},
        "equal_answers": equal,
        "different_answers": len(lengths) - equal,
        "answer_tokens": {"mean": round(sum(lengths) / len(lengths), 1), "min": min(lengths), "max": max(lengths)},
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [
        f"{result['model']}, {result['parameters'] / 1e6:,.1f} million parameters, {result['precision']}; "
        f"{result['prompts']} prompts, at most {result['max_new_tokens']} new tokens",
        f"{'':<28}{'seconds':>10}{'samples/s':>12}{'tokens/s':>12}",
    ]
    for name, words in (("medscale", "MedScale"), ("one_by_one", "one generate a question")):
        found = result[name]
        figures = f"{found['seconds']:>10.2f}{found['samples_per_second']:>12.2f}"
        lines.append(f"{words:<28}{figures}{found['output_tokens_per_second']:>12.1f}")
    ratio, tokens = result["speedup"], result["answer_tokens"]
    lines.append(
        f"{ratio['median']} times as fast ({ratio['lowest']} to {ratio['highest']} over the rounds); "
        f"{result['equal_answers']} answers equal token for token, {result['different_answers']} not; "
        f"{tokens['min']} to {tokens['max']} tokens, {tokens['mean']} on average"
    )
    return "\n".join([*lines, told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="how much (default: %(default)s)")
    parser.add_argument("--random", choices=SHAPES, help="a model of this shape with random weights instead")
    parser.add_argument("--prompts", type=int, help="other prompts than those of the size")
    parser.add_argument("--max-new-tokens", type=int, help="longest answer, tokens")
    parser.add_argument("--batch-size", type=int, default=64, help="prompts of the longest kind (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="other rounds than those of the size")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the model and the rows (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
