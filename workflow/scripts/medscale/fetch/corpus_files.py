"""Which files a corpus is made of: names that hold rows, their order, and the user's own files that `data.path` means.

A name decides no more than whether a file is looked at; what it holds is found out when it is read. Everything here is
a function of names, so the same rules hold for a folder of one's own and for the list of files of a hub.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medscale.base.errors import UserError
from medscale.fetch.endings import COMPRESSIONS, SUFFIXES, ending, in_order

_PROSE = {
    **dict.fromkeys(
        (".docx", ".doc", ".wps", ".odt", ".rtf"), "a text document; bring its rows into CSV or JSON lines"
    ),
    ".txt": "plain text; rename it to .csv, .tsv or .jsonl if that is what it holds",
}
_DATABASES, _ARCHIVES = (".db", ".sqlite", ".sqlite3", ".mdb"), (".rar", ".7z", ".tar", ".tgz")
REFUSED = {
    **_PROSE,
    **dict.fromkeys(
        (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".et"), "a spreadsheet; save each sheet as CSV (UTF-8)"
    ),
    ".xml": "XML; convert its rows to CSV or JSON lines",
    ".sql": "a database dump; export the table as CSV",
    **dict.fromkeys(_DATABASES, "a database; export the table as CSV"),
    **dict.fromkeys(_ARCHIVES, "an archive of a kind that is not read; unpack it and name the folder"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".npy", ".npz", ".pt"), "a file of Python objects; save its rows as JSON lines"
    ),
}
"""What may hold rows but is not read, and what to do with it. Among files that are read, prose is passed over."""

DOCUMENTS = re.compile(r"(readme|licen[cs]e|notice|changelog|citation|requirements|说明|使用说明)", re.IGNORECASE)
BOOKS = {"state.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "configuration.json"}
"""What `datasets` and the hubs write beside the rows."""

WILD = re.compile(r"[*?\[]")


class OwnFiles(NamedTuple):
    """The user's own files.

    Attributes:
        root: the folder that they lie below.
        names: paths relative to it, in the order in which they are read.
        skipped: others that lie among them, each with the reason in brackets.
        id: the name of the file or of the folder.
    """

    root: Path
    names: list[str]
    skipped: list[str]
    id: str


def passed_over(name: str, plain: bool = False) -> str | None:
    """Return why a file that lies among data is no part of the corpus, or None where it is one.

    ``plain`` says whether .txt files are read, as those of general texts are, one text a line.

    Raises `UserError` for a file that may hold rows in a format that is not read, which must not be missing in silence.
    """
    path = PurePosixPath(name)
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return "hidden"
    if path.name.startswith("~$"):
        return "of an open editor"
    if path.name in BOOKS:
        return "says how rows are kept"
    kind = ending(name)
    inner = kind.removesuffix(path.suffix.lower()) if path.suffix.lower() in COMPRESSIONS else kind
    is_archive = path.suffix.lower() == ".zip" and not DOCUMENTS.fullmatch(path.stem)  # 说明书问答.zip, not README.zip
    if DOCUMENTS.match(path.name) and inner not in SUFFIXES and not is_archive:
        return "no data file"
    if plain and ".txt" in (kind, inner):
        return None
    for suffix in (kind, inner):
        if suffix in _PROSE:
            return _PROSE[suffix]
        if suffix in REFUSED:
            raise UserError("D101", f"{name}: {REFUSED[suffix]}. To leave it out, name the others, as in data/**/*.csv")
    if path.suffix.lower() in COMPRESSIONS and name.lower().endswith(tuple(f".tar{c}" for c in COMPRESSIONS)):
        raise UserError("D101", f"{name}: {REFUSED['.tar']}")
    return None if path.suffix.lower() in SUFFIXES | COMPRESSIONS else "no data file"


def divide(names: Iterable[str], plain: bool = False) -> tuple[list[str], list[str]]:
    """Return the names that are part of a corpus, in order, and the others, each with the reason in brackets."""
    taken, skipped = [], []
    for name in in_order(names):
        reason = passed_over(name, plain)
        if reason is None:
            taken.append(name)
        else:
            skipped.append(f"{name} ({reason})")
    return taken, skipped


def select(wanted: str, names: Iterable[str], plain: bool = False) -> tuple[list[str], list[str]]:
    """Return which of a list of paths a path, a folder or a pattern means, and which it passes over.

    A path that is there is taken as it is, whatever it looks like. In a pattern ``*`` and ``?`` stand for characters
    of one name, ``[ab]`` for one of them, and ``**/`` for any folders or none.
    """
    names = list(names)
    path = wanted.removeprefix("./").rstrip("/")
    if path in names:
        if reason := _refused(PurePosixPath(path), plain):
            raise UserError("D101", f"{path}: {reason}")
        return [path], []
    below = [name for name in names if path in ("", ".") or name.startswith(path + "/")]
    if below:
        return divide(below, plain)
    return divide((name for name in names if WILD.search(path) and _pattern(path).fullmatch(name)), plain)


def _refused(path: PurePosixPath, plain: bool) -> str | None:
    """Return why a file that is named as it is cannot be read, by its suffix alone."""
    suffix = path.suffix.lower()
    return None if plain and suffix == ".txt" else REFUSED.get(suffix)


def chosen_files(
    paths: list[str], file: str | list[str], section: str, source: str, id: str, plain: bool = False
) -> list[str]:
    """Return which of the paths of a repository the ``file`` of a section means, or say which there are.

    Raises:
        UserError: a file that is named is not there, or is of a kind that is not read.
    """
    chosen = {}
    for wanted in [file] if isinstance(file, str) else file:
        try:
            taken, skipped = select(wanted, paths, plain)
        except UserError as error:
            raise UserError(error.code, f"{section}.file: {wanted}, {source}, {id}: {error.text}") from None
        if not taken:
            kinds = (*SUFFIXES, *COMPRESSIONS, *[".txt"] * plain)
            offered = [path for path in in_order(paths) if path.lower().endswith(kinds)]
            rest = f" and {len(offered) - 20} more" if len(offered) > 20 else ""
            raise UserError(
                "F104",
                f"{section}.file: {source}, {id} has no {wanted}; it has "
                f"{', '.join(offered[:20]) or 'no file of rows at all'}{rest}; set {section}.file to what it has",
            )
        over = f"; passed over: {', '.join(skipped)}" if skipped else ""
        print(f"{section}.file: {wanted} is {', '.join(taken)}{over}")
        chosen |= dict.fromkeys(taken)
    return list(chosen)


def _pattern(wanted: str) -> re.Pattern:
    made = ""
    for token in re.findall(r"\*\*/|\*+|\?|\[!?\]?[^\]/]*\]|.", wanted, re.DOTALL):
        if token == "**/":
            made += "(?:[^/]+/)*"
        elif token.startswith("*"):
            made += "[^/]*" if token == "*" else ".*"
        elif token == "?":
            made += "[^/]"
        elif len(token) > 1:
            inner = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("&&", r"\&&")
            made += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        else:
            made += re.escape(token)
    return re.compile(made, re.DOTALL)


def own_corpus(path: str | list[str] | None, section: str = "data", plain: bool = False) -> OwnFiles:
    """Return the user's own files that the ``path`` of a section means: a file, a folder, a pattern, or several.

    ``plain`` says whether .txt files are among what is read.

    Raises `UserError` that names the path where there is nothing to be read.
    """
    given = [path] if isinstance(path, str) else list(path or [])
    if not given or not all(given):
        raise UserError(
            "C113",
            f"{section}.path is not set; with {section}.source: file it is the file of questions and answers, or a "
            "folder, a pattern such as data/**/*.csv, or a list of these",
        )
    bases, found, skipped = [], {}, {}
    for one in given:
        base, files, passed = _one(Path(os.path.abspath(os.path.expanduser(one))), f"{section}.path", plain)
        bases.append(base)
        found |= dict.fromkeys(files)
        skipped |= passed
    root = Path(os.path.commonpath(bases))
    kept, seen = [], {}
    for name in in_order(os.path.relpath(file, root).replace(os.sep, "/") for file in found):
        facts = (root / name).stat()
        twin = seen.setdefault((facts.st_dev, facts.st_ino), name)
        if twin != name:
            skipped[root / name] = f"the same file as {twin}"
        elif facts.st_size == 0 and len(found) > 1:
            skipped[root / name] = "empty"
        else:
            kept.append(name)
    if not kept:
        shown = ", ".join(f"{file.name} ({why})" for file, why in list(skipped.items())[:10])
        raise UserError(
            "D109",
            f"{section}.path: {', '.join(given)} has no file with rows{f', only {shown}' if shown else ''}; "
            f"name files of JSON lines, JSON, CSV, Parquet{', Arrow or .txt' if plain else ' or Arrow'}, packed or not",
        )
    told = in_order(f"{os.path.relpath(file, root)} ({why})" for file, why in skipped.items() if file not in kept)
    single = len(given) == 1 and (root / kept[0]) == Path(os.path.abspath(os.path.expanduser(given[0])))
    return OwnFiles(root, kept, told, kept[0] if single else root.name or "files")


def _one(path: Path, key: str, plain: bool) -> tuple[Path, list[Path], dict[Path, str]]:
    """Return the fixed folder of one path, the files that it means, and those that it passes over with the reason."""
    if path.is_file():
        if reason := _refused(path, plain):
            raise UserError("D101", f"{key}: {path} is {reason}")
        return path.parent, [path], {}
    if path.is_dir():
        files = list(_walk(path, key, plain))
        if not files:
            raise UserError(
                "F151", f"{key}: {path} is a folder without files; name the folder or file that holds the rows"
            )
        return path, *_divided(path, [file.relative_to(path).as_posix() for file in files], key, plain)
    fixed = path
    while WILD.search(fixed.as_posix()) and not fixed.is_dir():
        fixed = fixed.parent
    if fixed == path:
        raise UserError("F108", f"{key}: {path} is not there; name a file, a folder or a pattern such as data/**/*.csv")
    if not fixed.is_dir():
        raise UserError(
            "F108",
            f"{key}: {path} matches nothing, because there is no folder {fixed}; mend the path up to the first *",
        )
    pattern = _pattern(path.relative_to(fixed).as_posix())
    names = [file.relative_to(fixed).as_posix() for file in _walk(fixed, key, plain)]
    matched = [name for name in names if pattern.fullmatch(name)]
    if not matched:
        raise UserError(
            "F150",
            f"{key}: {path} matches no file; `*` stands for characters of one name, `**/` for any folders",
        )
    return fixed, *_divided(fixed, matched, key, plain)


def _divided(folder: Path, names: list[str], key: str, plain: bool) -> tuple[list[Path], dict[Path, str]]:
    """Divide the files below a folder into those of the corpus and others, of saved data sets by what these say."""
    strays = set()
    for name in names:
        if PurePosixPath(name).name == "state.json":
            strays |= _strays(folder, PurePosixPath(name).parent, names, key)
    taken, skipped = [], {folder / name: "no part of the saved data set" for name in strays}
    for name in names:
        try:
            reason = None if name in strays else passed_over(name, plain)
        except UserError as error:
            raise UserError(error.code, f"{key}: {folder}/{error.text}") from None
        if name not in strays and reason is None:
            taken.append(folder / name)
        elif reason:
            skipped[folder / name] = reason
    return taken, skipped


def _strays(folder: Path, saved: PurePosixPath, names: list[str], key: str) -> set[str]:
    """Return the Arrow files in the folder of a saved data set that it does not name: older shards, caches."""
    try:
        state = json.loads((folder / saved / "state.json").read_text(encoding="utf-8"))
        named = {entry["filename"] for entry in state["_data_files"]}
    except (ValueError, KeyError, TypeError):
        return set()  # another file of this name
    absent = [name for name in named if not (folder / saved / name).is_file()]
    if absent:
        raise UserError(
            "F152",
            f"{key}: {folder / saved}/state.json names {', '.join(sorted(absent))}, which is not there; "
            "save the data set again",
        )
    here = [name for name in names if PurePosixPath(name).parent == saved and name.endswith(".arrow")]
    return {name for name in here if PurePosixPath(name).name not in named}


def _walk(folder: Path, key: str, plain: bool) -> Iterator[Path]:
    """Yield every file below a folder, and hidden folders unopened; links are followed, but into no folder twice."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=partial(_unreadable, key)):
        facts = os.stat(place)
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        hidden = [name for name in folders if passed_over(name) == "hidden"]
        yield from (Path(place, name) for name in hidden)  # named as a whole: nobody wants the list of .git
        folders[:] = sorted(set(folders) - set(hidden))
        for name in sorted(files):
            path = Path(place, name)
            if path.is_file():
                yield path
            elif path.is_symlink() and passed_over(path.name, plain) is None:
                raise UserError(
                    "F154",
                    f"{key}: {path} is a link to {os.readlink(path)}, which is not there; "
                    "bring that back, or remove the link",
                )


def _unreadable(key: str, error: OSError) -> None:
    raise UserError("B106", f"{key}: {error.filename} may not be read; change its permissions") from error
