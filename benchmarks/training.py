"""Time the training step of MedScale, TRL's SFTTrainer and a plain padded Trainer: same model, rows, effective batch.

python benchmarks/training.py                          # a small Qwen2 with Qwen's vocabulary
python benchmarks/training.py --size ci --output training.json
python benchmarks/training.py --shape light-head --csv toyhom.csv
python benchmarks/training.py --size cuda --methods lora qlora   # the true 3B shape, random weights
python benchmarks/training.py --csv toyhom.csv --llamafactory ~/lf/bin/python   # beside LLaMA-Factory, on real text

First every setting of TRL in `trials`, and of LLaMA-Factory, is tried, twice and on some of the rows; the fastest is
the best. Then all contenders train in turn, in several rounds, each time in a process of their own; medians are told.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from circumstances import circumstances, load_average, median, told
from medscale.base.config import resolve
from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from training_rivals import EFFECTIVE_BATCH, best_of, contenders, llamafactory, trials

LORA = resolve({})["lora"]
HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "datasets")
WARM_UP = 4
SIZES = {
    "ci": {"shape": "ci", "rows": 8, "rounds": 1, "trial_rows": 4, "passes": 1, "every_trial": 10},
    "full": {"shape": "small", "rows": 32, "rounds": 3, "trial_rows": 16, "passes": 2, "every_trial": 1},
    "cuda": {"shape": "qwen2.5-3b", "rows": 1024, "rounds": 3, "trial_rows": 512, "passes": 2, "every_trial": 1},
}


def main() -> None:
    args = parse_arguments()
    if args.llamafactory and not args.csv:
        raise UserError("X104", "--llamafactory reads text, and made-up rows have none: give --csv")
    result = {"schema_version": 1, **circumstances(PACKAGES)}
    with tempfile.TemporaryDirectory(prefix="training-", dir=args.folder) as folder:
        inputs = make_inputs(args, folder)
        result |= {name: value for name, value in inputs.items() if name not in ("lengths", "system_prompt")}
        result |= {"effective_batch": EFFECTIVE_BATCH, "max_length": args.max_length, "seed": args.seed}
        result["methods"] = {method: measure_method(args, folder, inputs, method) for method in args.methods}
    result["load_average_after"] = load_average()
    print(table(result))
    if args.output:
        write_json(args.output, result)


def make_inputs(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Write the model and the rows into ``folder``, and return what they are and what device there is."""
    size = SIZES[args.size]
    options = {
        "shape": args.shape or size["shape"],
        "rows": (args.rows or size["rows"]) + WARM_UP,
        "warm-up": WARM_UP,
        "max-length": args.max_length,
        "seed": args.seed,
        "folder": folder,
    } | ({"csv": args.csv} if args.csv else {})
    words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    done = subprocess.run([sys.executable, HERE / "training_inputs.py", *words], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError("X102", f"the model and the rows could not be made:\n{done.stderr[-3000:]}")
    return read_json(Path(folder) / "inputs.json")


def measure_method(args: argparse.Namespace, folder: str, inputs: dict[str, Any], method: str) -> dict[str, Any]:
    """Find TRL's best settings, then let all contenders train in turn; return every figure."""
    precision, cuda = inputs["precision"], inputs["hardware"]["device"] == "cuda"
    tried = try_settings(args, folder, inputs, method)
    field = contenders(precision, cuda) + best_of(tried, precision, cuda)
    if args.llamafactory:
        example = next(rival for rival in llamafactory(precision, cuda) if allowed(args, rival))
        kind = example["autocast"] or "fp32"
        field.append(example | {"name": f"LLaMA-Factory, its example's settings, {kind}"})
    field = [rival for rival in field if allowed(args, rival)]
    for rival in field:
        rival["rounds"] = []
    for number in range(args.rounds or SIZES[args.size]["rounds"]):
        for rival in field if number % 2 == 0 else reversed(field):
            rival["rounds"].append(run(args, folder, inputs, method, rival))
            show(rival | {"result": rival["rounds"][-1]})
            if rival["kind"] == "medscale" and "error" in rival["rounds"][-1]:
                raise UserError("X102", f"{rival['name']} failed: {rival['rounds'][-1]['error']}")
    for rival in field:
        rival["medians"] = medians(rival["rounds"], inputs["peak_tflops"])
    return {
        "contenders": field,
        "speedups": speedups(field),
        "largest_difference_of_losses": loss_differences(field),
        "tried": tried,
    }


def try_settings(args: argparse.Namespace, folder: str, inputs: dict[str, Any], method: str) -> list[dict[str, Any]]:
    """Let TRL train with each of its settings on some of the rows; return them with the best speed of each."""
    size, cuda = SIZES[args.size], inputs["hardware"]["device"] == "cuda"
    tried = list(trials(inputs["precision"], cuda, 512 / inputs["rows"]["mean_tokens"]))[:: size["every_trial"]]
    if args.llamafactory:
        tried += llamafactory(inputs["precision"], cuda)
    tried = [trial for trial in tried if allowed(args, trial)]
    for trial in tried:
        trial["results"] = []
    for number in range(args.passes or size["passes"]):
        for trial in tried if number % 2 == 0 else reversed(tried):
            trial["results"].append(run(args, folder, inputs, method, trial, size["trial_rows"]))
            show(trial | {"result": trial["results"][-1]})
    for trial in tried:
        trial["samples_per_second"] = max(result.get("samples_per_second", 0) for result in trial["results"])
    return tried


def allowed(args: argparse.Namespace, rival: dict[str, Any]) -> bool:
    """Return whether a contender takes part: not in bf16 where that is left out."""
    return not args.without_bf16 or "bf16" not in (rival["weights"], rival["autocast"])


def run(
    args: argparse.Namespace,
    folder: str,
    inputs: dict[str, Any],
    method: str,
    rival: dict[str, Any],
    rows: int | None = None,
) -> dict[str, Any]:
    """Let one contender train in a process of its own, on the first ``rows`` or all; return figures or error."""
    output = Path(folder) / "result.json"
    output.unlink(missing_ok=True)
    job = {
        "folder": folder,
        "output": str(output),
        "contender": {key: rival[key] for key in ("kind", "weights", "autocast", "arguments")},
        "method": method,
        "shape": inputs["shape"],
        "effective_batch": EFFECTIVE_BATCH,
        "warm_up": WARM_UP,
        "rows": rows or inputs["rows"]["rows"],
        "max_length": args.max_length,
        "threads": args.threads,
        "seed": args.seed,
        "lora": LORA,
        "system_prompt": inputs["system_prompt"],
        "lengths": inputs["lengths"],
        "answer_tokens": inputs["rows"]["answer_tokens"],
    }
    write_json(Path(folder) / "job.json", job)
    program = [sys.executable, HERE / "training_contender.py"]
    if rival["kind"] == "llamafactory":
        program = [args.llamafactory, HERE / "training_llamafactory.py"]
    done = subprocess.run(
        [*program, Path(folder) / "job.json"],
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(args.threads)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode or not output.exists():
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:500]}
    return read_json(output)


def show(rival: dict[str, Any]) -> None:
    """Tell one figure as soon as it is there."""
    found = rival["result"]
    speed = found.get("error") or f"{found['samples_per_second']:.2f} samples/s"
    print(f"{rival['name']}: {speed}", file=sys.stderr, flush=True)


def medians(rounds: list[dict[str, Any]], peak_tflops: float | None) -> dict[str, Any] | None:
    """Return the medians over the rounds; None where one of them failed."""
    if any("error" in found for found in rounds):
        return None
    names = ("seconds", "samples_per_second", "tokens_per_second", "tflops")
    figures: dict[str, Any] = {name: median([found[name] for found in rounds]) for name in names}
    figures["model_flop_utilisation"] = round(figures["tflops"] / peak_tflops, 4) if peak_tflops else None
    for name in ("load", "train_allocated", "train_reserved"):
        values = [found["peak_memory_gib"][name] for found in rounds]
        figures[f"peak_{name}_gib"] = None if None in values else median(values)
    energies = [found["energy_kwh"] for found in rounds]
    figures["energy_kwh"] = None if None in energies else median(energies, 6)
    return figures


def speedups(field: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each of MedScale's contenders and each rival, the ratios of samples a second: median and range.

    A ratio is taken within a round, so that what else the machine does touches both sides.
    """
    ratios: dict[str, dict[str, Any]] = {}
    for ours in (rival for rival in field if rival["kind"] == "medscale" and rival["medians"]):
        for other in (rival for rival in field if rival["kind"] != "medscale" and rival["medians"]):
            pairs = zip(ours["rounds"], other["rounds"], strict=True)
            values = [a["samples_per_second"] / b["samples_per_second"] for a, b in pairs]
            found = {"median": median(values, 2), "lowest": round(min(values), 2), "highest": round(max(values), 2)}
            ratios.setdefault(ours["name"], {})[other["name"]] = found
    return ratios


def loss_differences(field: list[dict[str, Any]]) -> dict[str, float]:
    """Return how far MedScale's loss of one batch is from the rivals' in its own precision, in nats a token."""
    ours = field[0]
    peers = [rival for rival in field if rival["medians"] and rival["kind"] in ("trl", "plain")]
    peers = [rival for rival in peers if (rival["autocast"] or rival["weights"]) == ours["weights"]]
    if not ours["medians"] or not peers:
        return {}
    losses = ours["rounds"][0]["loss_of_one_batch"]
    return {
        name: round(max(abs(rival["rounds"][0]["loss_of_one_batch"][name] - loss) for rival in peers), 6)
        for name, loss in losses.items()
    }


def table(result: dict[str, Any]) -> str:
    """Return the medians as text; the last columns are MedScale's speed over that of the row."""
    rows, shape = result["rows"], result["shape"]
    lines = [
        f"{shape['name']}: {shape['parameters'] / 1e6:,.1f} million parameters, {shape['vocab_size']:,} of vocabulary, "
        f"{result['head_share']:.0%} of the multiply-adds in the head; {rows['rows']} rows with {rows['mean_tokens']} "
        f"tokens ({rows['source']}), effective batch {result['effective_batch']}"
    ]
    for method, found in result["methods"].items():
        ours = list(found["speedups"])
        lines += ["", f"{method:<36}{'samples/s':>10}{'tokens/s':>10}{'MFU':>7}{'peak GiB':>10}{'reserved':>10}"]
        lines[-1] += "".join(f"{'times ' + str(place):>9}" for place in range(1, len(ours) + 1))
        for rival in found["contenders"]:
            figures = rival["medians"]
            if figures is None:
                lines.append(f"{rival['name']:<36}  {rival['rounds'][0].get('error', 'failed')}")
                continue
            cells = [f"{figures['samples_per_second']:>10.2f}{figures['tokens_per_second']:>10,.0f}"]
            use, reserved = figures["model_flop_utilisation"], figures["peak_train_reserved_gib"]
            cells.append(f"{'' if use is None else f'{use:.1%}':>7}{figures['peak_train_allocated_gib']:>10.2f}")
            cells.append(f"{'' if reserved is None else f'{reserved:.2f}':>10}")
            ratios = [found["speedups"][name].get(rival["name"]) for name in ours]
            cells += [f"{'' if ratio is None else ratio['median']:>9}" for ratio in ratios]
            lines.append(f"{rival['name']:<36}" + "".join(cells))
        lines += [f"times {place}: {name}" for place, name in enumerate(ours, 1)]
        lines += [f"{rival['name']}: {rival['settings']}" for rival in found["contenders"] if "settings" in rival]
        lines.append(f"largest difference of losses: {json.dumps(found['largest_difference_of_losses'])}")
    return "\n".join([*lines, told(result)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="how much (default: %(default)s)")
    parser.add_argument("--shape", help="another model than that of the size, by its name in training_inputs.py")
    parser.add_argument("--rows", type=int, help="other rows than those of the size")
    parser.add_argument("--rounds", type=int, help="other rounds than those of the size")
    parser.add_argument("--passes", type=int, help="trials of each setting, if other than those of the size")
    parser.add_argument("--methods", nargs="+", choices=["lora", "qlora"], default=["lora"], help="(default: lora)")
    parser.add_argument("--max-length", type=int, default=512, help="longest row, tokens (default: %(default)s)")
    parser.add_argument("--csv", help="rows of this Toyhom CSV with Qwen's tokenizer, not made-up ones")
    parser.add_argument("--llamafactory", help="Python of an environment with LLaMA-Factory; needs --csv")
    parser.add_argument(
        "--without-bf16", action="store_true", help="leave out bf16: a CPU without instructions for it takes minutes"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, rows and order (default: %(default)s)")
    parser.add_argument("--folder", help="where the model is written (default: the system's folder for such)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
