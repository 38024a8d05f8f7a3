"""Tell in which state each run of a study is, from its files: done, running, waiting, failed and why, or to be resumed.

It reads and never writes, and works while the study runs, here or on a machine that shares the drive.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from medscale.base.config import resolve
from medscale.base.errors import UserError, run_script
from medscale.watch.study import look
from medscale.watch.table import as_json, show
from medscale.watch.words import LANGUAGES, language, word

SHIPPED = Path(__file__).parents[2] / "config" / "config.yaml"


def main() -> None:
    args = parse_arguments()
    study = look(resolve(configuration(args.configfile, args.config, args.directory)), args.directory)
    if args.json:
        print(json.dumps(as_json(study), ensure_ascii=False, indent=2))
    elif not study.begun:
        print(word("nothing", args.language, args.directory / study.results))
    else:
        show(study, args.language)


def configuration(files: list[Path], given: list[str], directory: Path) -> dict[str, Any]:
    """Return the configuration as Snakemake merges it: the study's own or the shipped one, the files, ``--config``."""
    own = directory / "config" / "config.yaml"
    merged: dict[str, Any] = {}
    for path in [own if own.is_file() else SHIPPED, *files]:
        merged = merge(merged, read_yaml(path))
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError("B170", f"--config: {text} is not key=value, such as study='{{sizes: [100]}}'")
        merged = merge(merged, {key: parse_yaml(value, f"--config {key}")})
    return merged


def merge(old: Any, new: Any) -> Any:
    """Return ``old`` with the keys of ``new``: maps merge, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merge(old.get(key), value) for key, value in new.items()}
    return new


def read_yaml(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path)) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("B171", f"--configfile: {path} cannot be read ({error}); name the study's file") from None


def parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError("B172", f"{where}: is no YAML ({' '.join(str(error).split())})") from None


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
