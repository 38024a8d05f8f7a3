"""Digests of code and configuration: what makes an artifact stale, and what does not."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parents[2]
PACKAGE = "medscale"
TELLING = frozenset(
    SCRIPTS / PACKAGE / name
    for name in (
        "base/progress.py",
        "fetch/proxies.py",
        "fetch/secrets.py",
        "train/trackers/asked.py",
        "train/trackers/callback.py",
    )
)
"""What only tells how far a step is, shows it elsewhere, or hides secrets in that: no result is another one for it."""


@cache
def code_digest(script: str) -> str:
    """Return a digest of what a script does: its own code and that of each local module it imports, transitively.

    Comments, docstrings, formatting and file times leave the digest alone; a changed statement changes it. Followed are
    imports at the top and inside functions, absolute and relative ones, and the ``__init__`` of every package on the
    way, which Python runs too.

    Args:
        script: file name in ``workflow/scripts``, such as ``finetune.py``.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(with_imports(SCRIPTS / script) - TELLING):
        digest.update(f"{path.relative_to(SCRIPTS).as_posix()}\0{_normal_form(path)}\0".encode())
    return digest.hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """Return a digest of the names and bytes of all files below ``folder``, wherever it lies: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(
            f"{path.relative_to(folder).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode()
        )
    return digest.hexdigest()[:16]


def with_imports(script: Path) -> set[Path]:
    """Return a script and the files of ours that it imports, transitively."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(local_imports(path))
    return found


class _Read(NamedTuple):
    """What is kept of a file's syntax tree: the modules that its imports name, and the code in its normal form."""

    names: frozenset[str]
    form: str


@cache
def _read(path: Path) -> _Read:
    """Parse a file once, for every call of Snakemake parses all of them: its imports, and its normal form.

    The normal form is the code without docstrings and comments, printed from the syntax tree; not ``ast.dump``, because
    that differs between versions of Python.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(path, node)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return _Read(frozenset(names), ast.unparse(tree))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield a module, its statements and those within them, but no expressions, which are most of a tree."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, field, ()))


@cache
def local_imports(path: Path) -> frozenset[Path]:
    """Return the files of ours that Python runs for the imports of ``path``, packages' ``__init__`` files included."""
    ours = (name for name in _read(path).names if name.split(".")[0] == PACKAGE)
    return frozenset(file for name in ours for file in _files(name))


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the module that ``from … import`` in ``path`` names, without leading dots."""
    if not node.level:
        return node.module or ""
    package = path.relative_to(SCRIPTS).parent.parts
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


@cache
def _files(name: str) -> frozenset[Path]:
    """Return the files that importing ``name`` runs: the module and the ``__init__`` of each package above it."""
    parts = name.split(".")
    candidates = [SCRIPTS.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    candidates.append(SCRIPTS.joinpath(*parts).with_suffix(".py"))
    return frozenset(candidate for candidate in candidates if candidate.is_file())


def _normal_form(path: Path) -> str:
    return _read(path).form
