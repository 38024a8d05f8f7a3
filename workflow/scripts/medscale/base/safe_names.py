"""Names of files that somebody else chose, in a repository or an archive: which may be written below a folder."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 240  # bytes of a part of a name: file systems take 255, and a partial file needs an ending


def unsafe(name: str) -> str | None:
    """Say why a file of that name may not be written below a folder; None where it may.

    A name is a path with ``/`` between its parts. What would leave the folder, hides from a listing, steers another
    program (``.git/hooks/…``) or means something else on another system is refused on every system alike.

    >>> unsafe("onnx/model.json")
    >>> unsafe("../model.json")
    'it leads out of its folder'
    """
    parts = name.split("/")
    if not name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it is empty or has control characters"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name:
        return "it is no path relative to its folder"
    if ".." in parts:
        return "it leads out of its folder"
    if "" in parts or "." in parts:
        return "a part of it is empty"
    if any(part.startswith(".") for part in parts):
        return "a part of it is hidden"
    if any(":" in part or part != part.rstrip(" .") or RESERVED.fullmatch(part) for part in parts):
        return "it means something else on other systems"
    if any(len(part.encode("utf-8")) > LONGEST for part in parts):
        return "a part of it is too long"
    return None


def colliding(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that are one file on some systems, or of which one is a folder of the other; None if none are.

    Systems differ in whether they tell apart capitals and the ways to write an accent.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in sorted(set(names)):
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if key in seen or key in folders:
            return seen.get(key) or folders[key], name
        for parent in PurePosixPath(key).parents:
            if str(parent) in seen:
                return seen[str(parent)], name
            folders.setdefault(str(parent), name)
        seen[key] = name
    return None
