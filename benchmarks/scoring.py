"""Time MedScale's scorer against rouge_chinese, nltk and jieba on one core, and check that every value is equal.

python benchmarks/scoring.py                                   # 1,000 made-up Chinese pairs
python benchmarks/scoring.py --predictions results/base/predictions.jsonl --workers 2 --output scoring.json
python benchmarks/scoring.py --csv toyhom.csv                  # pairs of real answers of the same department
"""

import argparse
import csv
import gc
import logging
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import jieba
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.errors import run_script
from medscale.base.files import read_jsonl, write_json
from medscale.evaluate import metrics, scoring, segmentation

COLUMNS = [column for name in metrics.STANDARD for column in metrics.columns(name)]
PACKAGES = ("jieba", "rouge-chinese", "nltk", "rapidfuzz")
MEAN_CHARACTERS = 155  # a doctor's answer in the Toyhom data
SCALING_PAIRS = 8000


def main() -> None:
    args = parse_arguments()
    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    segmentation.segmenter()  # both dictionaries are loaded before the clock starts
    gc.freeze()  # so that collecting garbage between repeats does not walk them, which empties the processor's caches
    measurements = []
    for data, pairs in sources(args):
        measurements.append({"data": data} | measure(pairs, args.repeats))
        print(f"{data}\n{table(measurements[-1])}\n")
    scaling = None
    if args.workers > 1:
        scaling = measure_scaling(made_up_pairs(SCALING_PAIRS, args.seed), args.workers, args.repeats)
        print(scaling_table(scaling))
    if args.output:
        result = {"schema_version": 1, **circumstances(), "measurements": measurements, "scaling": scaling}
        write_json(args.output, result)


def sources(args: argparse.Namespace) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield what to time: in words what it is, and the pairs."""
    for path in args.predictions:
        yield f"predictions: {Path(path).parent.name}/{Path(path).name}", read_pairs(path)
    if args.csv:
        pairs = same_department_pairs(args.csv, args.pairs, args.seed)
        yield f"answers of the same department: {Path(args.csv).name}, seed {args.seed}", pairs
    if args.made_up or not (args.predictions or args.csv):
        yield f"made up, seed {args.seed}", made_up_pairs(args.pairs, args.seed)


def circumstances() -> dict:
    """Return when, where and with which versions the figures were measured."""
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {
            "cpu": cpu_model(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
    }


def measure(pairs: list[tuple[str, str]], repeats: int) -> dict:
    """Time both scorers and the segmenters on ``pairs``, the best of ``repeats`` each, in milliseconds a pair."""
    expected, reference = best_time(reference_scores, pairs, repeats)
    found, cold = best_time(our_scores, pairs, repeats)
    warm_up_labels(pairs)
    again, cached = best_time(our_scores, pairs, repeats, forget=forget_predictions)
    if not expected == found == again:
        unequal = next(index for index, values in enumerate(expected) if not values == found[index] == again[index])
        raise AssertionError(f"pair {unequal}: {expected[unequal]} expected, {found[unequal]} found: {pairs[unequal]}")
    texts = [(predict, predict) for predict, _ in pairs]
    words, segmenting = best_time(lambda predict, _: segmentation.cut(predict), texts, repeats)
    _, segmentation_of_all = best_time(
        lambda predict, label: (segmentation.cut(predict), segmentation.cut(label)), pairs, repeats
    )
    jieba_words, jieba_segmenting = best_time(lambda predict, _: jieba.lcut(predict), texts, repeats)
    if words != jieba_words:
        raise AssertionError("the segmenter differs from jieba")
    return {
        "pairs": len(pairs),
        "mean_characters": round(sum(len(predict) + len(label) for predict, label in pairs) / len(pairs) / 2, 1),
        "equal_values": len(pairs) * len(COLUMNS),
        "milliseconds_per_pair": {
            "reference": reference,
            "medscale": cold,
            "medscale_references_cached": cached,
            "jieba_of_predictions": jieba_segmenting,
            "segmentation_of_predictions": segmenting,
            "segmentation_of_both": segmentation_of_all,
        },
        "speedup": round(reference / cold, 2),
        "speedup_references_cached": round(reference / cached, 2),
        "segmentation_speedup": round(jieba_segmenting / segmenting, 2),
        "segmentation_share": round(segmentation_of_all / cold, 3),
    }


def reference_scores(predict: str, label: str) -> dict[str, float]:
    """Score one pair with the reference libraries, step by step as LLaMA-Factory does."""
    predict_words, label_words = " ".join(jieba.cut(predict)), " ".join(jieba.cut(label))
    if predict_words.split() and label_words.split():
        rouge = Rouge().get_scores(predict_words, label_words)[0]
    else:
        rouge = {name: {"f": 0.0, "p": 0.0, "r": 0.0} for name in ("rouge-1", "rouge-2", "rouge-l")}
    bleu = sentence_bleu([list(label)], list(predict), smoothing_function=SmoothingFunction().method3)
    values = [rouge[name][part] for name in ("rouge-1", "rouge-2", "rouge-l") for part in ("f", "p", "r")]
    return {column: round(value * 100, 4) for column, value in zip(COLUMNS, [*values, bleu], strict=True)}


def our_scores(predict: str, label: str) -> dict[str, float]:
    """Score one pair with MedScale."""
    return metrics.score(metrics.Pair(predict, label), metrics.STANDARD)


def best_time(
    function: Callable, pairs: list[tuple[str, str]], repeats: int, forget: Callable[[], None] | None = None
) -> tuple[list, float]:
    """Call ``function`` on every pair, each time with empty caches; return the values and milliseconds a pair."""
    best = float("inf")
    for _ in range(repeats):
        (forget or forget_all)()
        gc.collect()
        start = time.process_time()
        values = [function(*pair) for pair in pairs]
        best = min(best, time.process_time() - start)
    return values, round(best / len(pairs) * 1000, 4)


def forget_all() -> None:
    """Empty every cache of the scorer."""
    metrics._label_words.cache_clear()
    forget_predictions()


def forget_predictions() -> None:
    """Empty the segmenter's caches, so that only whole references stay segmented."""
    segmentation.segmenter()._cut_block.cache_clear()
    segmentation.segmenter()._cut_run.cache_clear()


def warm_up_labels(pairs: list[tuple[str, str]]) -> None:
    """Segment all references."""
    for _, label in pairs:
        metrics._label_words(label)


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Read the predictions and labels of a predictions.jsonl."""
    return [(row["predict"], row["label"]) for row in read_jsonl(path)]


def same_department_pairs(path: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Pair the answers of a CSV in the Toyhom schema (GB18030) with others of their department."""
    generator = random.Random(seed)
    departments: dict[str, list[str]] = {}
    with open(path, encoding="gb18030", newline="") as handle:
        for row in csv.DictReader(handle):
            departments.setdefault(row["department"], []).append(row["answer"])
    pairs = []
    for answers in departments.values():
        others = generator.sample(answers, len(answers))
        pairs += zip(others, answers, strict=True)
    return generator.sample(pairs, min(count, len(pairs)))


def measure_scaling(pairs: list[tuple[str, str]], workers: int, repeats: int) -> dict:
    """Time the scoring of ``pairs`` in one process and in several, starting and ending them included.

    Beside the wall time stands the processor's: where other programs want the same cores, only that is telling.
    """
    measured = {}
    for count in (1, workers):
        best = (float("inf"), 0.0)
        for _ in range(repeats):
            forget_all()
            start, before = time.perf_counter(), cpu_seconds()
            scoring.score_texts(pairs, list(metrics.STANDARD), count)
            best = min(best, (time.perf_counter() - start, cpu_seconds() - before))
        measured[count] = [round(value, 3) for value in best]
    return {
        "pairs": len(pairs),
        "workers": workers,
        "wall_seconds_one": measured[1][0],
        "wall_seconds": measured[workers][0],
        "cpu_seconds_one": measured[1][1],
        "cpu_seconds": measured[workers][1],
        "speedup": round(measured[1][0] / measured[workers][0], 2),
    }


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def made_up_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Make pairs of sentences from jieba's words by their frequency; the prediction keeps some of its label's."""
    generator = random.Random(seed)
    with jieba.get_dict_file() as handle:
        entries = [line.split(" ") for line in handle.read().decode("utf-8").splitlines()]
    words, sums = [entry[0] for entry in entries], list(accumulate(int(entry[1]) for entry in entries))

    def sentence() -> str:
        return "".join(generator.choices(words, cum_weights=sums, k=generator.randint(3, 12))) + generator.choice(
            "，，，。。？"
        )

    def text() -> list[str]:
        sentences: list[str] = []
        while sum(map(len, sentences)) < MEAN_CHARACTERS - 8:
            sentences.append(sentence())
        return sentences

    pairs = []
    for _ in range(count):
        label, predict = text(), text()
        kept = [part for part in label if generator.random() < 0.25]
        pairs.append(("".join([*kept, *predict[len(kept) :]]), "".join(label)))
    return pairs


def cpu_model() -> str:
    """Return the processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(result: dict) -> str:
    """Return the figures as text."""
    times = result["milliseconds_per_pair"]
    rows = [
        ("rouge_chinese + nltk + jieba", times["reference"], 1.0),
        ("MedScale", times["medscale"], result["speedup"]),
        ("  of it: words of both texts", times["segmentation_of_both"], None),
        ("MedScale, references cached", times["medscale_references_cached"], result["speedup_references_cached"]),
        ("  of it: words of the prediction", times["segmentation_of_predictions"], None),
        ("jieba alone: words of the prediction", times["jieba_of_predictions"], None),
    ]
    lines = [f"{'':<38}{'ms a pair':>10}{'times':>8}"]
    lines += [f"{name:<38}{value:>10.3f}{'' if ratio is None else f'{ratio:.1f}':>8}" for name, value, ratio in rows]
    lines.append(
        f"{result['pairs']} pairs of {result['mean_characters']} characters, {result['equal_values']} values equal; "
        f"segmentation is {result['segmentation_share']:.0%} of MedScale's time, "
        f"{result['segmentation_speedup']:.1f} times as fast as jieba; {cpu_model()}"
    )
    return "\n".join(lines)


def scaling_table(scaling: dict) -> str:
    """Return the figures of several processes as text."""
    return (
        f"{scaling['pairs']} made-up pairs: {scaling['wall_seconds_one']:.2f} s in one process "
        f"({scaling['cpu_seconds_one']:.2f} s of processor), {scaling['wall_seconds']:.2f} s in {scaling['workers']} "
        f"({scaling['cpu_seconds']:.2f} s): {scaling['speedup']:.2f} times as fast"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="made-up or CSV pairs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of these pairs (default: %(default)s)")
    parser.add_argument("--predictions", nargs="+", default=[], help="predictions.jsonl to time, not made-up pairs")
    parser.add_argument("--csv", help="CSV in the Toyhom schema, to time pairs of its answers")
    parser.add_argument("--made-up", action="store_true", help="time the made-up pairs besides")
    parser.add_argument("--workers", type=int, default=1, help="also time so many processes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is taken (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
