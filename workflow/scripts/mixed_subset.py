"""Add general rows to a training set, so that they are a given share of all; the set's own rows stay as they are."""

import argparse
import itertools
import json
from pathlib import Path

from medscale.base.arguments import add_paths, whole_number
from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, sha256_file, write_json
from medscale.base.plurals import how_many


def main() -> None:
    args = parse_arguments()
    own = general = 0
    with atomic_path(args.output) as temporary, open(temporary, "wb") as handle:
        with open(args.train, "rb") as train:
            for line in train:
                handle.write(line)
                own += 1
        with open(args.general, "rb") as rows:
            for line in itertools.islice(rows, args.count):
                handle.write(line)
                general += 1
        if general < args.count:
            raise UserError(
                "D170",
                f"study.mix: {how_many(args.count, 'general row is', 'general rows are')} to stand beside "
                f"{own}, and {args.general} has {general}; "
                "name a larger set, or a smaller study.mix.share",
            )
    departments = json.loads(args.manifest_of_train.read_text(encoding="utf-8"))["departments"]
    write_json(
        args.manifest,
        {
            "schema_version": 1,
            "size": own + general,
            "sha256": sha256_file(args.output),
            "departments": departments,
            "general": general,
            "general_share": general / (own + general),
            "train_sha256": sha256_file(args.train),
            "general_sha256": sha256_file(args.general),
        },
    )
    print(f"{how_many(own, 'row')} and {how_many(general, 'general one')}, {general / (own + general):.2%} of all")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=whole_number, required=True, help="general rows to add")
    parser.add_argument("--manifest-of-train", type=Path, required=True, help="manifest of the training set")
    add_paths(
        parser,
        train="training set (JSON lines)",
        general="general rows (JSON lines), of which the first are taken",
        output="JSON lines to write",
        manifest="JSON to write: size, general rows, sha256",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
