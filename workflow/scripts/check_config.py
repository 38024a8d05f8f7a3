"""Say of configuration files what cannot be read in them, and where, before Snakemake reads them."""

import argparse

from medscale.base.config_file import require_readable
from medscale.base.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="as named in --configfile")
    for path in parser.parse_args().files:
        require_readable(path)


if __name__ == "__main__":
    run_script(main)
