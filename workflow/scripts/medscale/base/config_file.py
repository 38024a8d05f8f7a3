"""Whether a configuration file can be read, seen before Snakemake reads it: it says neither which file nor where.

As a program, for a file of ``--configfile``, which Snakemake reads before anything of ours runs:
``python workflow/scripts/check_config.py study.yaml``.
"""

import codecs
import re
from pathlib import Path
from typing import Any

import yaml

from medscale.base.errors import UserError

_MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
_MARKS |= {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # which begin those of UTF-32
_TAB = re.compile(r"^ *\t", re.MULTILINE)
SHIPPED = Path(__file__).parents[4] / "config" / "config.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def require_own_code(scripts: str | Path) -> None:
    """Raise `UserError` where this package is not that beside the called rules: jobs would run another one."""
    own = Path(__file__).resolve().parents[2]
    if own != Path(scripts).resolve():
        raise UserError(
            "B173",
            f"--logger medscale is that of another checkout, {own.parents[1]}: leave it out, or give "
            f"{Path(scripts).resolve().parents[1]} an environment of its own with `python3 envs/install.py`",
        )


def require_readable(path: str | Path) -> None:
    """Raise `UserError` with the line where a file is no UTF-8, no YAML, or no map of keys to values.

    A byte order mark of UTF-8, as editors on Windows write it, does no harm.
    """
    text = _text(Path(path))
    try:
        found = yaml.load(text, Loader=_LOADER)  # of the safe ones, and no other takes objects from a file
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        if tab := _TAB.search(text):
            place, problem = f", line {_line(text, tab.start())}", "a tab stands before the text; indent with spaces"
        else:
            problem = " ".join(str(getattr(error, "problem", None) or error).split())
            problem = f"this is no YAML ({problem}); mend the line, or the one before it"
        raise UserError("C136", f"{path}{place}: {problem}") from None
    if found is not None and not isinstance(found, dict):
        raise UserError(
            "C136", f"{path}: holds no keys with values but {type(found).__name__}; write it as config/config.yaml is"
        )


def merged(files: list[Path], given: list[str], directory: Path) -> dict[str, Any]:
    """Return the configuration as Snakemake merges it: the study's own or the shipped one, the files, ``--config``."""
    own = directory / "config" / "config.yaml"
    whole: dict[str, Any] = {}
    for path in [own if own.is_file() else SHIPPED, *files]:
        whole = _merge(whole, _read_yaml(path))
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError("B170", f"--config: {text} is not key=value, such as study='{{sizes: [100]}}'")
        whole = _merge(whole, {key: _parse_yaml(value, f"--config {key}")})
    return whole


def _merge(old: Any, new: Any) -> Any:
    """Return ``old`` with the keys of ``new``: maps merge, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merge(old.get(key), value) for key, value in new.items()}
    return new


def _read_yaml(path: Path) -> Any:
    try:
        return _parse_yaml(path.read_text(encoding="utf-8"), str(path)) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("B171", f"--configfile: {path} cannot be read ({error}); name the study's file") from None


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError("B172", f"{where}: is no YAML ({' '.join(str(error).split())})") from None


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError("C135", f"{path}: cannot be read ({error.strerror}); name a file that is there") from error
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), None)
    if encoding is None:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            try:
                shown = raw.decode("gb18030").splitlines()[line - 1].strip()[:40]
            except UnicodeDecodeError:
                shown = None
        encoding = f"not UTF-8 in line {line}" if shown is None else f"GB18030, as line {line} shows, «{shown}»"
    raise UserError("C135", f"{path}: is {encoding}, and Snakemake reads UTF-8 alone; save the file as UTF-8")


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
