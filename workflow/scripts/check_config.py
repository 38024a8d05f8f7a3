"""Say of configuration files what cannot be read in them, and which keys and values are none, before Snakemake."""

import argparse
from pathlib import Path

from medscale.base.config import resolve
from medscale.base.config_file import merged, require_readable
from medscale.base.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="as named in --configfile")
    files = parser.parse_args().files
    for path in files:
        require_readable(path)
    resolve(merged(files, [], Path()))


if __name__ == "__main__":
    run_script(main)
