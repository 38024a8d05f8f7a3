"""What the path of an exam's file tells: its subject, and the part of a divided set that it is of."""

import re
from pathlib import PurePath

_WORDS = {
    **{word: word for word in ("test", "val", "dev", "train")},
    **dict.fromkeys(("valid", "validation"), "val"),
    **dict.fromkeys(("development",), "dev"),
    **dict.fromkeys(("training",), "train"),
}
_SHARD = re.compile(r"[-_]\d+[-_]of[-_]\d+$")
_PACKED = re.compile(r"\.(zip|gz|xz|zst|bz2)$", re.IGNORECASE)


def split_of(path: PurePath) -> str | None:
    """Return the part of a divided set: what the file's name says, or else the nearest folder; None if nothing does.

    >>> split_of(PurePath("physician_val.csv")), split_of(PurePath("test/anatomy.csv")), split_of(PurePath("a.csv"))
    ('val', 'test', None)
    """
    for name in (_stem(path), *map(str.lower, reversed(path.parts[:-1]))):
        for word in re.split(r"[-_. ]+", name.lower()):
            if word in _WORDS:
                return _WORDS[word]
    return None


def subject_of(path: PurePath) -> str:
    """Return what a file's name says its subject is, or the folder's name where the file is called after a part.

    >>> subject_of(PurePath("physician_val.csv")), subject_of(PurePath("anatomy/test-00000-of-00001.parquet"))
    ('physician', 'anatomy')
    """
    words = re.split(r"([-_ ])", _SHARD.sub("", _stem(path)))
    while words and words[-1].lower() in {*_WORDS, "-", "_", " "}:
        words.pop()
    if not words and len(path.parts) > 1:
        return _PACKED.sub("", path.parts[-2])
    return "".join(words) or _stem(path)


def _stem(path: PurePath) -> str:
    return path.name.partition(".")[0]
