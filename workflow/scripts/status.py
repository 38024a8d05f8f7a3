"""Tell in which state each run of a study is, from its files: done, running, waiting, failed and why, or to be resumed.

It reads and never writes, and works while the study runs, here or on a machine that shares the drive.
"""

import argparse
import json
from pathlib import Path

from medscale.base.config import resolve
from medscale.base.config_file import merged
from medscale.base.errors import run_script
from medscale.watch.study import look
from medscale.watch.table import as_json, show
from medscale.watch.words import LANGUAGES, language, word


def main() -> None:
    args = parse_arguments()
    study = look(resolve(merged(args.configfile, args.config, args.directory)), args.directory)
    if args.json:
        print(json.dumps(as_json(study), ensure_ascii=False, indent=2))
    elif not study.begun:
        print(word("nothing", args.language, args.directory / study.results))
    else:
        show(study, args.language)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--configfile", type=Path, nargs="+", action="extend", default=[], help="as given to snakemake; may be several"
    )
    parser.add_argument("--config", nargs="+", action="extend", default=[], help="as given to snakemake: key=value …")
    parser.add_argument("--directory", type=Path, default=Path(), help="the study's folder (default: this one)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--language", choices=LANGUAGES, default=language(), help="default: zh where LANG says so, else en"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
