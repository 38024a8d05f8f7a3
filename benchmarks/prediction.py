"""Time MedScale's batched answers against one `generate` a question: same model, same prompts, the same answers.

python benchmarks/prediction.py                        # a small Qwen2 that has learned to end its answers
python benchmarks/prediction.py --size ci --output prediction.json
python benchmarks/prediction.py --random qwen2.5-3b --prompts 256   # on CUDA: the true shape, random weights

The small model is pre-trained on the demo's corpus for a minute, so that answers end at different places. Its
vocabulary is then widened to Qwen's 151,936 tokens with weights of 0, which no answer takes.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, median, told
from medscale.base.cards import leased_cards
from medscale.base.errors import run_script
from medscale.base.files import write_json
from medscale.data.demo.corpus import generate as demo_rows
from medscale.data.demo.corpus import load_conditions
from medscale.evaluate.generation import Answer, generate
from medscale.model.chat import Chat
from medscale.model.hardware import MemoryMeter, device, hardware
from medscale.model.precision import precision, torch_dtype
from medscale.model.tiny import new_model, pretrain, train_tokenizer
from training_inputs import SHAPES, SYSTEM_PROMPT

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "tokenizers")
SIZES = {
    "ci": {"hidden": 64, "layers": 2, "steps": 30, "prompts": 12, "max_new_tokens": 16, "rounds": 1},
    "full": {"hidden": 256, "layers": 4, "steps": 200, "prompts": 128, "max_new_tokens": 128, "rounds": 3},
}
VOCABULARY = 151_936
TEXTS = 3000


@leased_cards()  # before anything asks CUDA how many there are
def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    result = {"schema_version": 1, **circumstances(PACKAGES), "hardware": hardware()}
    size = SIZES[args.size]
    model, chat, questions, source = make_model(args, size)
    limit, batch_size = args.max_new_tokens or size["max_new_tokens"], args.batch_size
    result |= {"model": source, "precision": str(model.dtype).removeprefix("torch."), "prompts": len(questions)}
    result |= {"parameters": model.num_parameters(), "max_new_tokens": limit, "batch_size": batch_size}
    ways = {
        "medscale": lambda some: generate(model, chat, some, limit, batch_size, "MedScale").answers,
        "one_by_one": lambda some: one_by_one(model, chat, some, limit),
    }
    for way in ways.values():
        way(questions[:2])  # the first call of each loads what is loaded once
    rounds, answers = [], {}
    for number in range(args.rounds or size["rounds"]):
        seconds = {}
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            seconds[name], answers[name] = timed(ways[name], questions)
        rounds.append(seconds)
        print(seconds, file=sys.stderr, flush=True)
    result |= compared(rounds, answers)
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


def one_by_one(model: torch.nn.Module, chat: Chat, questions: list[str], max_new_tokens: int) -> list[Answer]:
    """Answer each question by a call of its own, as a script does that loops over the test set."""
    tokenizer, stop, answers = chat.tokenizer, set(chat.stop_ids), []
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
        row = list(itertools.takewhile(lambda token: token not in stop, output[0, ids.shape[1] :].tolist()))
        answers.append(Answer(tokenizer.decode(row, skip_special_tokens=True).strip(), len(row)))
    return answers


def timed(way: Callable[[list[str]], list[Answer]], questions: list[str]) -> tuple[float, list[Answer]]:
    """Return the seconds that one way takes for all questions, and the answers."""
    began = time.perf_counter()
    answers = way(questions)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return round(time.perf_counter() - began, 3), answers


def compared(rounds: list[dict[str, float]], answers: dict[str, list[Answer]]) -> dict[str, Any]:
    """Return medians, the ratio within each round, and how many answers are the same: text and number of tokens."""
    ratios = [seconds["one_by_one"] / seconds["medscale"] for seconds in rounds]
    ways = {}
    for name, found in answers.items():
        seconds = median([times[name] for times in rounds])
        ways[name] = {
            "seconds": seconds,
            "samples_per_second": round(len(found) / seconds, 3),
            "output_tokens_per_second": round(sum(answer.n_tokens for answer in found) / seconds, 1),
        }
    lengths = [answer.n_tokens for answer in answers["one_by_one"]]
    equal = sum(one == other for one, other in zip(answers["medscale"], answers["one_by_one"], strict=True))
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
        f"{result['equal_answers']} answers equal, {result['different_answers']} not; "
        f"{tokens['min']} to {tokens['max']} tokens, {tokens['mean']} on average"
    )
    return "\n".join([*lines, told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="how much (default: %(default)s)")
    parser.add_argument("--random", choices=SHAPES, help="a model of this shape with random weights instead")
    parser.add_argument("--prompts", type=int, help="other prompts than those of the size")
    parser.add_argument("--max-new-tokens", type=int, help="longest answer, tokens")
    parser.add_argument("--batch-size", type=int, default=64, help="longest prompts at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="other rounds than those of the size")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the model and the rows (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
