"""The guides as a test sees them: blocks of code, links, and a checkout in which what a guide says is done."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from places import ROOT
from served import program

RUNNABLE = "runnable"
MARKDOWN = MarkdownIt().enable("table")


class Block(NamedTuple):
    """A fenced block: its language, whether a test runs it, its text, and the number of its first line."""

    language: str
    runnable: bool
    text: str
    line: int


@lru_cache
def parsed(text: str) -> list[Token]:
    """Return the tokens of a page."""
    return MARKDOWN.parse(text)


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, those in lists too."""
    for token in parsed(text):
        if token.type == "fence":
            language, *marks = token.info.split() or [""]
            yield Block(language, RUNNABLE in marks, token.content, token.map[0] + 1)


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page, in their order."""
    found = []
    for token in parsed(text):
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                found.append(child.attrs.get("href") or child.attrs["src"])
    return [unquote(target) for target in found]


def headings(text: str) -> list[tuple[int, str]]:
    """Return level and source of each heading."""
    tokens = parsed(text)
    return [(int(token.tag[1:]), inline.content) for token, inline in pairwise(tokens) if token.type == "heading_open"]


class Checkout:
    """A checkout of the repository, with the packages of the Python that runs the tests."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def fresh(cls, folder: Path) -> "Checkout":
        """Return a checkout of the files that the repository has now, in a new folder."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_file() and not source.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        # For `make`, an environment that is installed already: of links, since the shared one is nobody's to change,
        # and with programs that are served.
        own = folder / ".venv"
        (own / "bin").mkdir(parents=True)
        for part in Path(sys.prefix).iterdir():
            if part.name != "bin" and not part.name.startswith(".installed"):
                (own / part.name).symlink_to(part)
        for part in Path(sys.prefix, "bin").iterdir():
            served = Path(program()).with_name(part.name)
            (own / "bin" / part.name).symlink_to(served if served.exists() else part)
        (own / ".installed").touch()
        return cls(folder)

    def copy(self, folder: Path) -> "Checkout":
        """Return a copy, with what was made in it, in a new folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder)

    def do(self, page: Path) -> int:
        """Do what the runnable blocks of a page say, in their order, and return how many there were."""
        count = 0
        for block in blocks(page.read_text(encoding="utf-8")):
            if not block.runnable:
                continue
            where = f"{page.relative_to(ROOT)}, line {block.line}"
            if block.language == "diff":
                self.change(block.text, where)
            else:
                self.run(block.text, where)
            count += 1
        return count

    def run(self, text: str, where: str) -> str:
        """Run a block of shell commands; each has to succeed."""
        environment = os.environ | {
            "PATH": os.pathsep.join([str(self.folder / ".venv" / "bin"), os.environ["PATH"]]),
            "MEDSCALE_LOCK_DIR": str(self.folder.parent / "locks"),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{where}:\n{text}\n{done.stdout[-5000:]}"
        return done.stdout

    def change(self, text: str, where: str) -> None:
        """Change files as a diff says whose pieces have no numbers: what it keeps and takes out stands there once."""
        for part in re.split(r"^--- ", text, flags=re.MULTILINE)[1:]:
            name, _, rest = part.partition("\n")
            path = self.folder / name
            for piece in re.split(r"^@@\n", rest, flags=re.MULTILINE):
                lines = [line or " " for line in piece.splitlines()]
                old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
                new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
                there = path.read_text(encoding="utf-8")
                assert there.count(old) == 1, f"{where}: stands {there.count(old)} times in {name}, not once:\n{old}"
                path.write_text(there.replace(old, new), encoding="utf-8")
