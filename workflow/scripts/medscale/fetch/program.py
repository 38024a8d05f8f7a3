"""What both programs that fetch share: their command line, the hub, and the study's own copy of the manifest."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from medscale.base.credentials import with_credentials
from medscale.base.errors import UserError
from medscale.base.files import write_json
from medscale.fetch.download import fetch
from medscale.fetch.hub import Repository, prepare_client
from medscale.fetch.manifest import content_of, is_current, read_manifest, remember, write_manifest
from medscale.fetch.secrets import nothing_told
from medscale.fetch.sources import OWN, request_of

Fetcher = Callable[[argparse.Namespace], None]


def run_fetcher(
    args: argparse.Namespace, section: str, fetchers: dict[str, Fetcher], key: str | None = None, name: str = ""
) -> None:
    """Fetch from the source that was asked for, unless the files are there and whole already.

    Args:
        args: from a parser of `parser_of`.
        section: ``model``, ``data``, or the kind of a set.
        fetchers: by source, what puts the files and the manifest in place.
        key: where the section stands in the configuration; default: under its own name.
        name: of a set; credentials of its endpoint lie in the environment under it.
    """
    args.endpoint = with_credentials(args.endpoint, name or section)
    with nothing_told(args.endpoint):
        _run(args, section, fetchers, key or section)


def _run(args: argparse.Namespace, section: str, fetchers: dict[str, Fetcher], key: str) -> None:
    if args.source not in fetchers:
        raise UserError("C103", f"{key}.source: {args.source} is none of {', '.join(fetchers)}")
    request = request_of(section, vars(args), args.conditions)
    # What the user has himself is looked at anew: the same words may mean another folder, as in a copied study.
    if args.source not in OWN and is_current(args.output, request):
        print(f"{args.output}: already there, every file verified")
    else:
        fetchers[args.source](args)
        remember(args.output, request)
        files = read_manifest(args.output)["files"]
        print(f"{args.output}: {len(files)} files, {sum(file['size'] for file in files):,} bytes")
    if args.copy:
        manifest = read_manifest(args.output)
        request = {key: value for key, value in request.items() if key != "path"}
        facts = {"content": content_of(manifest), "request": request, "fetches": args.fetches}
        write_json(args.copy, manifest | facts)


def fetch_from_hub(
    args: argparse.Namespace,
    section: str,
    choose: Callable[[list[str]], list[str]],
    check: Callable[[Path], None] | None = None,
    licence: Callable[[Path], str | None] | None = None,
    first: tuple[str, Callable[[Path], None]] | None = None,
) -> None:
    """Download the chosen files of a repository beside the manifest, and write it.

    Args:
        args: with source, id, revision, endpoint, retry_wait and output.
        section: ``model`` or ``data``.
        choose: gets the paths on offer and returns those to download.
        check: gets the folder after the download and raises `UserError` if something is missing; default nothing.
        licence: reads the licence from the folder, where the hub states none; default None.
        first: see `download.fetch`.
    """
    prepare_client(args.source, args.endpoint)
    folder = args.output.parent
    repository = Repository(args.source, section, args.id, args.revision or None)
    listing = fetch(repository, folder, choose, wait=args.retry_wait, first=first)
    if check:
        check(folder)
    write_manifest(
        folder,
        kind=section,
        source=args.source,
        id=args.id,
        revision=listing.revision,
        licence=listing.licence or (licence(folder) if licence else None),
        files=[file.path for file in listing.files],
    )


def parser_of(description: str, section: str, sources: dict[str, str]) -> argparse.ArgumentParser:
    """Return the command line that both programs have.

    Args:
        description: what the program does.
        section: ``model`` or ``data``; the option of that name takes the whole section of the configuration.
        sources: by source, what ``--path`` or nothing means for it, in words for the help.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        f"--{section}", type=json.loads, default={}, help=f"JSON: the section {section} of the configuration"
    )
    parser.add_argument("--source", help=f"{', '.join(sources)}; goes before --{section}, as all below")
    parser.add_argument("--id", help="repository on the hub, owner/name")
    parser.add_argument("--revision", help="branch, tag or commit; default: the hub's default branch")
    parser.add_argument("--endpoint", help="address of the hub or a mirror; default: as in the environment")
    parser.add_argument("--path", help="; ".join(f"{said} ({name})" for name, said in sources.items() if said))
    parser.add_argument("--conditions", type=Path, help="table of medical facts (tiny, demo)")
    parser.add_argument("--retry-wait", type=float, default=3.0, help="seconds before a second attempt (default: 3)")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json; downloaded files go beside it")
    parser.add_argument("--copy", type=Path, help="the study's own copy of the manifest; left out: none is written")
    parser.add_argument("--fetches", type=int, default=1, help="how often the study has fetched (default: %(default)s)")
    return parser


def parse(parser: argparse.ArgumentParser, section: str) -> argparse.Namespace:
    """Read the command line; an option goes before the same key in the section of the configuration."""
    given = getattr(parser.parse_known_args()[0], section)
    parser.set_defaults(**{key: value for key, value in given.items() if key in vars(parser.parse_known_args()[0])})
    return parser.parse_args()
