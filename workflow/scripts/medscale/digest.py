"""Digests of code and configuration: what makes an artifact stale, and what does not."""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]


@cache
def code_digest(script: str) -> str:
    """Return a digest of what a script does: its own code and that of each local module it imports, transitively.

    Comments, docstrings, formatting and file times leave the digest alone; a changed statement changes it.

    Args:
        script: file name in ``workflow/scripts``, such as ``finetune.py``.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(_with_imports(SCRIPTS / script)):
        digest.update(f"{path.relative_to(SCRIPTS).as_posix()}\0{_normal_form(path)}\0".encode())
    return digest.hexdigest()[:16]


def _with_imports(script: Path) -> set[Path]:
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_local_imports(path))
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _local_imports(path: Path) -> set[Path]:
    """Return the files of ``medscale`` modules that ``path`` imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    candidates = {SCRIPTS / (name.replace(".", "/") + ".py") for name in names if name.split(".")[0] == "medscale"}
    return {candidate for candidate in candidates if candidate.is_file()}


@cache
def _normal_form(path: Path) -> str:
    """Return the code without docstrings and comments, printed from the syntax tree.

    The printed form, not ``ast.dump``, because the latter differs between versions of Python.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
