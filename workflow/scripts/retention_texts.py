"""Draw the general texts under which what a model has kept is measured, from the set of evaluation.retention."""

import argparse
import json
import sys
from collections import Counter

from medscale.base.arguments import add_source
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_jsonl
from medscale.base.plurals import how_many
from medscale.data.general_texts import drawn, texts_of
from medscale.data.table_files import FileOptions
from medscale.fetch.manifest import read_manifest

LOST = {
    "broken": ("cannot be read (a comma or a quote too many?)",) * 2,
    "empty": ("is empty", "are empty"),
    "no_text": ("holds something else", "hold something else"),
}
"""What became of one row, and of several."""


def main() -> None:
    args = parse_arguments()
    settings = json.loads(args.settings)
    counts: Counter = Counter()
    options = FileOptions(**settings.get("files", {}), section="evaluation.retention")
    every = texts_of(args.manifest, args.content, settings["column"], counts, options)
    texts = drawn(every, settings["max_texts"], settings["seed"])
    lost = ", ".join(how_many(counts[reason], *words) for reason, words in LOST.items() if counts[reason])
    told = f"of {how_many(counts['read'], 'row')} {how_many(counts['kept'], 'is a text', 'are texts')}" + (
        f", {lost}" if lost else ""
    )
    if 2 * counts["kept"] < counts["read"] or not texts:
        names = ", ".join(file["path"] for file in read_manifest(args.manifest)["files"])
        raise UserError(
            "E137",
            f"evaluation.retention, {names}: {told}; mend the file, or name another column than "
            f"{settings['column']} in evaluation.retention.column",
        )
    count = write_jsonl(args.output, ({"id": name, "text": text} for name, text in texts))
    print(f"{args.output}: {how_many(count, 'general text')}; {told}")
    if lost:
        print(f"warning: evaluation.retention: {told}", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_source(parser, "manifest", "set of general texts")
    parser.add_argument("--settings", required=True, help="JSON text: column, max_texts, seed, files")
    parser.add_argument("--output", required=True, help="texts (JSON lines): id, text")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
