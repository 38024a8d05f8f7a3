"""Read the general rows of `study.mix`, clean them, and drop those near what is held out to measure by."""

import argparse
from pathlib import Path

from medscale.base.arguments import (
    add_paths,
    add_similarity,
    add_source,
    boolean,
    optional,
    positive_number,
    similarity,
    whole_number,
)
from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from medscale.base.plurals import counts_of, how_many
from medscale.base.progress import counted
from medscale.data.cleaning import Rules
from medscale.data.columns import Columns
from medscale.data.corpus import Corpus
from medscale.data.mixing import General, HeldOut, general_rows
from medscale.data.near.leak_check import Thresholds
from medscale.data.table_files import FileOptions
from medscale.fetch.manifest import read_manifest

KEY = "study.mix"


def main() -> None:
    args = parse_arguments()
    rules = Rules(
        (args.min_question_characters, args.max_question_characters),
        (args.min_answer_characters, args.max_answer_characters),
        args.mask_personal_data,
        turns="first",
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    columns = Columns.from_json(args.columns, section=KEY)
    corpus = Corpus(args.manifest, columns, args.content, FileOptions.from_json(args.files, KEY))
    found = general_rows(
        counted(corpus.rows(), "cleaning the general rows", "records"),
        rules,
        args.near_duplicate_threshold,
        held_out(args),
        args.seed,
        args.output.parent,
        args.system_prompt,
    )
    require_enough(found, args.needed, corpus)
    write_jsonl(args.output, found.rows)
    write_json(args.report, report(args, corpus, found))
    print(
        f"kept {found.kept} of {how_many(found.read, 'general row')}; dropped: {counts_of(found.dropped)}; "
        f"{args.needed} needed"
    )


def held_out(args: argparse.Namespace) -> HeldOut:
    return HeldOut(
        {"test": list(read_jsonl(args.test)), "validation": list(read_jsonl(args.validation))},
        [row["text"] for row in read_jsonl(args.retention)] if args.retention else [],
        Thresholds(args.similarity_threshold, args.ngram, args.containment_threshold),
        [each["text"] for each in read_json(args.split_report)["boilerplate"]],
    )


def require_enough(found: General, needed: int, corpus: Corpus) -> None:
    """Raise `UserError` where there are not so many general rows as the study's largest mix takes."""
    if found.kept >= needed:
        return
    named = ", ".join(file["path"] for file in corpus.files[:3])
    cure = f"name a larger set, a smaller {KEY}.share, or smaller sizes in {KEY}.runs"
    if found.dropped["near_retention"]:
        cure += (
            f"; {found.dropped['near_retention']} of them stand in the texts of evaluation.retention: name other texts "
            "there, or fewer with evaluation.retention.max_texts"
        )
    raise UserError(
        "D170",
        f"{KEY}: the largest mix takes {how_many(needed, 'general row')}, and {named} has {found.kept} that can be "
        f"used, of {found.read} read ({counts_of(found.dropped)}); {cure}",
    )


def report(args: argparse.Namespace, corpus: Corpus, found: General) -> dict:
    return {
        "schema_version": 1,
        "read": found.read,
        "kept": found.kept,
        "dropped": dict(sorted(found.dropped.items())),
        "near": found.near,
        "files": corpus.files,
        "layouts": corpus.layouts,
        "licence": read_manifest(args.manifest)["licence"],
        "sha256": sha256_file(args.output),
        "settings": {
            "similarity_threshold": args.similarity_threshold,
            "ngram": args.ngram,
            "containment_threshold": args.containment_threshold,
            "near_duplicate_threshold": args.near_duplicate_threshold,
            "seed": args.seed,
        },
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_source(parser, "manifest", "general rows")
    parser.add_argument("--columns", required=True, metavar="JSON", help="columns of question and answer")
    parser.add_argument("--files", default="{}", metavar="JSON", help="what the files do not tell: study.mix.files")
    parser.add_argument("--needed", type=whole_number, required=True, help="rows that the study's largest mix takes")
    parser.add_argument("--system-prompt", help="system message of the rows without one; left out: the study's own")
    parser.add_argument("--seed", type=whole_number, default=42, help="of the order (default: %(default)s)")
    parser.add_argument("--min-question-characters", type=whole_number, default=4, help="default: %(default)s")
    parser.add_argument("--max-question-characters", type=whole_number, default=500, help="default: %(default)s")
    parser.add_argument("--min-answer-characters", type=whole_number, default=10, help="default: %(default)s")
    parser.add_argument("--max-answer-characters", type=whole_number, default=2000, help="default: %(default)s")
    parser.add_argument("--mask-personal-data", type=boolean, default=True, help="true or false (default: %(default)s)")
    parser.add_argument(
        "--near-duplicate-threshold",
        type=optional(similarity),
        default=0.7,
        help="similarity of both question and answer from which a row repeats another (default: %(default)s)",
    )
    # Which the section `cleaning` has for the corpus: here a lack of rows is told by what is needed.
    parser.add_argument("--max-dropped-share", help=argparse.SUPPRESS)
    add_similarity(parser, 0.6, "a general question is near a held-out one")
    parser.add_argument("--retention", type=Path, help="general texts to measure by (JSON lines); left out: none")
    parser.add_argument(
        "--ngram", type=positive_number, default=13, help="characters of an n-gram (default: %(default)s)"
    )
    parser.add_argument(
        "--containment-threshold",
        type=similarity,
        default=0.8,
        help="share of a held-out question's n-grams from which it stands in a general one (default: %(default)s)",
    )
    parser.add_argument("--split-report", type=Path, required=True, help="what the split reported: the boilerplate")
    add_paths(
        parser,
        test="test rows (JSON lines)",
        validation="validation rows (JSON lines)",
        output="JSON lines to write: id, question, answer, department, system",
        report="JSON to write: counts by reason, what was near",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
