"""The messages of the project: where they are raised, what workflow/messages says of them, and the pages made of it.

    python docs/messages.py missing       # places that raise a message without a code, and codes without a text
    python docs/messages.py show C101     # what the pages say of a code, in both languages

A message is raised as ``UserError("D107", "…")``. A file of workflow/messages holds the codes of one letter, each with
a title, the cause and the cure in both languages; places with the same cause and cure share a code. No job reads these
files, so a better text makes no result stale. `make docs` writes the pages of them, docs/en/troubleshooting.md and
docs/zh/troubleshooting.md.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT / "workflow" / "messages"
SOURCES = ("workflow/scripts", "envs", "docs", "benchmarks", "notebooks")
RAISED = {"UserError", "ConfigError", "NotebookError", "Problem"}
"""What is called with a code and a text. A call that takes the code over from another (``last.code``) needs no own."""
BLANK = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT}
CODE = re.compile(r"[A-Z]\d{3}")
LANGUAGES = ("en", "zh")
FIELDS = ("title", "cause", "cure")

HEADS = {
    "en": """\
# Troubleshooting

Written by `make docs` from `workflow/messages`.

Every message of MedScale ends with a code, such as `[C101]`. Search this page for it: here stand the cause, and what
to do about it. The message itself names the file, the key or the run. Where the terminal shows Snakemake's own lines
alone, the message stands in the log file that they name (`logs/…`).

After the cure, call the same command again: what is finished stays. `snakemake …` below is your own command, with the
`--configfile` that you used. [中文](../zh/troubleshooting.md)
""",
    "zh": """\
# 故障排查

由 `make docs` 根据 `workflow/messages` 生成。

MedScale 的每条报错都以代码结尾，例如 `[C101]`。在本页搜索这个代码，就能看到原因和处理办法。
报错本身会写明是哪个文件、哪个键或哪次运行。
如果终端里只有 Snakemake 自己的输出，报错就在它指出的日志文件里（`logs/…`）。

处理之后，重新运行同一条命令即可，已完成的部分不会重做。
下文的 `snakemake …` 指你自己的那条命令，`--configfile` 等选项照旧。
[English](../en/troubleshooting.md)
""",
}
WORDS = {"en": ("**Cause.** ", "**What to do.** "), "zh": ("**原因**：", "**处理**：")}


class Site(NamedTuple):
    """A place that makes a message; ``code`` is None where it has none of its own and takes none over."""

    path: Path
    line: int
    code: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


class Subject(NamedTuple):
    """The codes of one letter; ``about`` says in each language what they are about, ``note`` what holds for all."""

    letter: str
    about: dict[str, str]
    codes: dict[str, dict[str, dict[str, str]]]
    note: dict[str, str] | None = None


class OneOfEach(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        made = super().construct_mapping(node, deep)
        if len(made) < len(node.value):
            names = [key.value for key, _ in node.value]
            twice = ", ".join(sorted({name for name in names if names.count(name) > 1}))
            raise yaml.constructor.ConstructorError(None, None, f"stands twice: {twice}", node.start_mark)
        return made


def main() -> None:
    args = parse_arguments()
    if args.command == "missing":
        lines = list(missing())
        print("\n".join(lines) or "every message has a code, and every code its texts")
        sys.exit(bool(lines))
    if args.code not in entries():
        sys.exit(f"{args.code}: no such code; the letters are {', '.join(subject.letter for subject in registry())}")
    print("\n\n".join(section(args.code, entries()[args.code], language) for language in LANGUAGES))


def missing() -> Iterator[str]:
    """Yield a line for each place without a code or with one that has no texts, and for each code that no place has."""
    for site in sites():
        if site.code is None:
            yield str(site)
        elif site.code not in entries():
            yield f"{site} [{site.code}: not in workflow/messages]"
    for code in sorted(entries().keys() - {site.code for site in sites()}):
        yield f"{code}: in workflow/messages, but no message has it"


@cache
def sites() -> list[Site]:
    """Return every place that makes a message of a code and a text, in the order of files and lines."""
    found = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found += sites_in(path, ast.parse(path.read_text(encoding="utf-8")))
    for path in (ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))):
        found += sites_in_rules(path, path.read_text(encoding="utf-8"))
    return found


def sites_in(path: Path, tree: ast.AST) -> Iterator[Site]:
    """Yield the places of one file; a call that takes its code over from another message is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "Iterator[Problem]":
            for part in ast.walk(node):
                if isinstance(part, ast.Yield) and not isinstance(part.value, ast.Call):
                    yield Site(path, part.lineno, None, ast.unparse(part))
        if not isinstance(node, ast.Call) or _name(node.func) not in RAISED:
            continue
        first, *rest = [*node.args, *(keyword.value for keyword in node.keywords)] or [None]
        if isinstance(first, ast.Attribute) and first.attr == "code" and rest:
            continue
        literal = isinstance(first, ast.Constant) and isinstance(first.value, str) and bool(CODE.fullmatch(first.value))
        code = first.value if literal and rest else None
        said = rest[0] if code else first
        yield Site(path, node.lineno, code, "" if said is None else ast.unparse(said))


def sites_in_rules(path: Path, text: str) -> Iterator[Site]:
    """Yield the places of a file of rules, which Python can take apart into words but not parse."""
    words = [word for word in tokenize.generate_tokens(io.StringIO(text).readline) if word.type not in BLANK]
    for name, bracket, first, comma in zip(words, words[1:], words[2:], words[3:], strict=False):
        if name.string in RAISED and bracket.string == "(":
            code = first.string.strip("\"'")
            known = first.type == tokenize.STRING and CODE.fullmatch(code) and comma.string == ","
            yield Site(path, name.start[0], code if known else None, name.line.strip())


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@cache
def registry() -> list[Subject]:
    """Return what the files of `workflow/messages` hold, in the order in which a study meets it."""
    files = [yaml.load(path.read_text(encoding="utf-8"), OneOfEach) for path in REGISTRY.glob("*.yaml")]
    ordered = sorted(files, key=lambda file: file["order"])
    return [Subject(file["letter"], file["subject"], file["codes"], file.get("note")) for file in ordered]


def entries() -> dict[str, dict[str, dict[str, str]]]:
    """Return all codes with their texts, by language and field."""
    return {code: entry for subject in registry() for code, entry in subject.codes.items()}


def pages() -> dict[Path, str]:
    """Return the text of the page of each language."""
    return {ROOT / "docs" / language / "troubleshooting.md": page(language) for language in LANGUAGES}


def page(language: str) -> str:
    """Return the page in one language: an overview of the letters, then every code with its cause and cure."""
    overview = [f"* [{subject.letter}: {subject.about[language]}](#{subject.letter.lower()})" for subject in registry()]
    parts = [HEADS[language], "\n".join(overview)]
    for subject in registry():
        parts.append(f'<a id="{subject.letter.lower()}"></a>\n\n## {subject.letter}: {subject.about[language]}')
        parts += [subject.note[language]] if subject.note else []
        parts += [section(code, entry, language) for code, entry in subject.codes.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def section(code: str, entry: dict, language: str) -> str:
    """Return what the page says of one code."""
    title, cause, cure = (entry[language][field].strip() for field in FIELDS)
    because, therefore = WORDS[language]
    return f"### {code} {title}\n\n{because}{cause}\n\n{therefore}{cure}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("missing", help="list what has no code or no text; exit code 1 if there is something")
    show = commands.add_parser("show", help="print cause and cure of a code")
    show.add_argument("code", help="such as C101")
    return parser.parse_args()


if __name__ == "__main__":
    main()
