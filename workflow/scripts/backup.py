"""Back up the finished runs of a study into a folder elsewhere, or bring such a backup back into a study."""

import argparse
import json
from pathlib import Path

from medscale.base.arguments import boolean
from medscale.base.backup.pack import pack
from medscale.base.backup.study_folder import StudyFolder
from medscale.base.backup.unpack import unpack
from medscale.base.errors import UserError, run_script


def main() -> None:
    args = parse_arguments()
    study = StudyFolder(args.results, args.logs)
    archive = archive_of(args.path, args.results)
    if args.action == "restore":
        unpack(study, archive, args.configuration)
    else:
        pack(study, archive, args.rows, args.configuration, args.checkpoints)


def archive_of(path: str, results: str) -> Path:
    """Return the folder of the archive; `UserError` if none is named or if it lies in the results."""
    if not path:
        raise UserError(
            "B150", "backup.path = null: name the folder of the backup, for example --config backup='{path: /mnt/b}'"
        )
    archive = Path(path).expanduser()
    if archive.resolve().is_relative_to(Path(results).resolve()):
        raise UserError(
            "B150", f"backup.path: {archive} lies in paths.results, whose files it is to hold; name another folder"
        )
    if archive.exists() and not archive.is_dir():
        raise UserError("B150", f"backup.path: {archive} is a file; name a folder")
    return archive


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["backup", "restore"], help="which of the two")
    parser.add_argument("--results", required=True, help="folder of the study's results")
    parser.add_argument("--logs", required=True, help="folder of the study's logs")
    parser.add_argument("--path", required=True, help="folder of the backup")
    parser.add_argument("--rows", nargs="*", default=[], help="runs, base and floors of the study")
    parser.add_argument("--configuration", type=json.loads, default={}, help="JSON: the study's configuration")
    parser.add_argument(
        "--checkpoints", type=boolean, default=False, help="with the newest checkpoint of runs that are not trained yet"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
