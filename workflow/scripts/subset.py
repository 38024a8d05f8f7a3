"""Take the first rows of the pool as a training set: a smaller one is a prefix of a larger one, to the byte."""

import argparse
import itertools
import json
from collections import Counter

from medscale.base.arguments import add_paths, whole_number
from medscale.base.errors import UserError, run_script
from medscale.base.files import atomic_path, sha256_file, write_json
from medscale.data.departments import name_of


def main() -> None:
    args = parse_arguments()
    departments: Counter = Counter()
    with atomic_path(args.output) as temporary, open(args.pool, "rb") as pool, open(temporary, "wb") as handle:
        for line in itertools.islice(pool, args.size):
            handle.write(line)
            departments[name_of(json.loads(line)["department"])] += 1
        if departments.total() < args.size:
            raise UserError(
                "D113",
                f"study.sizes: {args.size} is more than the {departments.total()} rows of {args.pool}; "
                "choose a smaller size or get more data",
            )
    write_json(
        args.manifest,
        {
            "schema_version": 1,
            "size": args.size,
            "sha256": sha256_file(args.output),
            "departments": dict(sorted(departments.items())),
            "pool_sha256": sha256_file(args.pool),
        },
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=whole_number, required=True, help="rows to take")
    add_paths(
        parser,
        pool="JSON lines, in the order that split gave them",
        output="JSON lines to write",
        manifest="JSON to write: size, departments, sha256",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
