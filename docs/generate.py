"""Write what follows from other parts: the reference of the configuration, envs/*.yaml, the README's picture,
CONTRIBUTING's rooms, the troubleshooting pages, the contents of the guides, the notebooks, and the gallery.

    make docs

A test holds them in step with the schema and with the lock file.
"""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path[:0] = [str(SCRIPTS), str(ROOT / "docs")]
import configuration  # noqa: E402
import contents  # noqa: E402
import gallery  # noqa: E402
from medscale.base.digest import local_imports  # noqa: E402
from medscale.base.rooms import ROOMS  # noqa: E402
from messages import pages  # noqa: E402
from notebook_files import notebooks  # noqa: E402

ENVIRONMENTS = {
    "fetch": [
        "huggingface_hub",
        "modelscope",
        "pysocks",
        "socksio",
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "tqdm",
    ],
    "data": [
        "jinja2",
        "modelscope",
        "numpy",
        "pandas",
        "pyarrow",
        "rensa",
        "scipy",
        "tokenizers",
        "torch",
        "tqdm",
        "transformers",
    ],
    "train": [
        *("accelerate", "bitsandbytes", "datasets", "filelock", "jinja2", "nvidia-ml-py", "peft", "pyarrow"),
        *("safetensors", "tensorboard", "tokenizers", "torch", "tqdm", "transformers"),
    ],
    "export": [
        *("accelerate", "bitsandbytes", "filelock", "jieba", "jinja2", "jsonschema", "numpy", "nvidia-ml-py", "peft"),
        *("pyarrow", "pyyaml", "rapidfuzz", "safetensors", "tokenizers", "torch", "tqdm", "transformers"),
    ],
    "evaluate": [
        *("bm25s", "jieba", "jinja2", "jsonschema", "matplotlib", "numpy", "pandas", "pyarrow", "pyyaml", "rapidfuzz"),
        *("scipy", "seaborn", "tabulate", "tqdm"),
    ],
}

OPTIONAL = {
    "train": """\
      # Trackers, for training.report_to:
      # - alembic
      # - mlflow-skinny
      # - swanlab
      # - wandb
"""
}
"""Lines behind the packages of an environment, by its name: what a user may put in."""


def main() -> None:
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    gallery.main()


def generated() -> dict[Path, str]:
    """Return the text of every generated file."""
    files = configuration.pages()
    files |= contents.pages(files | pages())
    for name, packages in ENVIRONMENTS.items():
        files[ROOT / "envs" / f"{name}.yaml"] = environment(packages) + OPTIONAL.get(name, "")
    for readme in (ROOT / "README.md", ROOT / "README.zh-CN.md"):
        text = readme.read_text(encoding="utf-8")
        files[readme] = re.sub(r"(```mermaid\n).*?(```)", rf"\1{picture()}\2", text, flags=re.DOTALL)
    contributing = ROOT / "CONTRIBUTING.md"
    text = contributing.read_text(encoding="utf-8")
    text = re.sub(r"(```text\n).*?(```)", lambda found: f"{found[1]}{rooms()}{found[2]}", text, flags=re.DOTALL)
    text = re.sub(r"(```mermaid\n).*?(```)", rf"\1{picture_of_rooms()}\2", text, flags=re.DOTALL)
    files[contributing] = text
    files[ROOT / "docs" / "gallery.md"] = gallery.page()
    return files | pages() | notebooks()


def rooms() -> str:
    """Return the tree of the package's rooms, each with the first line that it says of itself."""
    package = SCRIPTS / "medscale"
    lines = ["workflow/scripts/medscale/"]
    for room in ROOMS:
        inner = sorted(path.parent for path in (package / room).glob("*/__init__.py"))
        for folder in (package / room, *inner):
            said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))).splitlines()[0]
            depth = len(folder.relative_to(package).parts)
            lines.append(f"{'    ' * depth + folder.name + '/':<18}{said}")
    return "\n".join(lines) + "\n"


def picture_of_rooms() -> str:
    """Return which room imports from which, as a Mermaid flowchart, without what follows from other arrows."""
    package = SCRIPTS / "medscale"
    arrows = set()
    for path in package.rglob("*.py"):
        room, *_ = path.relative_to(package).parts
        arrows |= {(file.relative_to(package).parts[0], room) for file in local_imports(path) if file.parent != package}
    return flowchart({(a, b) for a, b in arrows if a != b})


@cache
def picture() -> str:
    """Return the workflow as a Mermaid flowchart: which rule needs which, without what follows from other arrows."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = dict(re.findall(r"^\t(id\d+)\[(\w+)\]$", done.stdout, re.MULTILINE))
    arrows = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", done.stdout)}
    return flowchart({(a, b) for a, b in arrows if b != "all"})


def flowchart(arrows: set[tuple[str, str]]) -> str:
    """Return arrows as a Mermaid flowchart, without those that follow from others."""
    needed = {b: {a for a, c in arrows if c == b} for _, b in arrows}

    def reached(rule: str) -> set[str]:
        return set().union(*({above, *reached(above)} for above in needed.get(rule, ())))

    kept = [(a, b) for a, b in arrows if not any(a in reached(c) for c in needed[b])]
    return "flowchart LR\n" + "".join(f"    {a} --> {b}\n" for a, b in sorted(kept))


def environment(packages: list[str]) -> str:
    """Return a conda environment with the lock file's versions."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {line.split("==")[0].lower().replace("_", "-"): line for line in lock if "==" in line}
    listed = "".join(f"      - {pins[package.lower().replace('_', '-')]}\n" for package in sorted(packages))
    head = "# Written by `make docs` from requirements.lock; used with snakemake --sdm conda.\n"
    return head + "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n" + listed


if __name__ == "__main__":
    main()
