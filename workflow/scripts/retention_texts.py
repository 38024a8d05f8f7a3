"""Draw the general texts under which what a model has kept is measured, from the set of evaluation.retention."""

import argparse
import json

from medscale.base.arguments import add_source
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_jsonl
from medscale.data.general_texts import drawn, texts_of


def main() -> None:
    args = parse_arguments()
    settings = json.loads(args.settings)
    texts = drawn(texts_of(args.manifest, args.content, settings["column"]), settings["max_texts"], settings["seed"])
    count = write_jsonl(args.output, ({"id": name, "text": text} for name, text in texts))
    if not count:
        raise UserError(
            "E137",
            f"{args.manifest}: evaluation.retention has no text in its column {settings['column']}; name another",
        )
    print(f"{args.output}: {count} general texts")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_source(parser, "manifest", "set of general texts")
    parser.add_argument("--settings", required=True, help="JSON text: column, max_texts, seed")
    parser.add_argument("--output", required=True, help="texts (JSON lines): id, text")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
