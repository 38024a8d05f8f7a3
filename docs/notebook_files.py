"""Write the notebooks of notebooks/cells.yaml: one a service and language, with the same cells.

Called by docs/generate.py. Cells have no outputs; their ids are their places, so that a change of one cell is a small
difference.
"""

import re
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
LANGUAGES = ("en", "zh")
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SERVICE_METADATA = {
    "colab": {"colab": {"provenance": [], "toc_visible": True}, "accelerator": "GPU"},
    "kaggle": {"kaggle": {"accelerator": "nvidiaTeslaT4", "isGpuEnabled": True, "isInternetEnabled": True}},
}


def notebooks() -> dict[Path, str]:
    """Return the text of each notebook, by its file."""
    source = yaml.safe_load((FOLDER / "cells.yaml").read_text(encoding="utf-8"))
    return {
        FOLDER / f"{service}.{language}.ipynb": nbformat.writes(notebook(source, service, language)) + "\n"
        for service in source["services"]
        for language in LANGUAGES
    }


def notebook(source: dict, service: str, language: str) -> nbformat.NotebookNode:
    """Return one notebook: the cells that are for the service, in the language."""
    words = source["services"][service]
    cells = []
    for cell in source["cells"]:
        if cell.get("only", service) != service:
            continue
        cell_id = f"cell-{len(cells) + 1:02}"
        if "text" in cell:
            cells.append(new_markdown_cell(unwrapped(filled(cell["text"][language], words, language)), id=cell_id))
        else:
            code = filled(cell["code"], words, language)
            if service != "colab":
                code = re.sub(r" +# @param .*", "", code)  # a form field of Colab's
            cells.append(new_code_cell(code.strip(), id=cell_id, metadata={"tags": cell.get("tags", [])}))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}} | SERVICE_METADATA[service]
    made = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(made)
    return made


def unwrapped(text: str) -> str:
    """Return Markdown with each paragraph and point of a list on one line: a line's end would be a blank in Chinese.

    >>> unwrapped("# 一\\n\\n* 二\\n  三 a\\n  b\\n* 四")
    '# 一\\n\\n* 二三 a b\\n* 四'
    """
    lines: list[str] = []
    for line in text.strip().splitlines():
        if lines and lines[-1] and line.strip() and not line.startswith(("*", "#")):
            between = "" if ord(lines[-1][-1]) > 0x2E7F and ord(line.strip()[0]) > 0x2E7F else " "
            lines[-1] += between + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)


def filled(text: str, words: dict[str, str], language: str) -> str:
    """Return a text with the words of a service and of a language in their places.

    >>> filled("cd <<place>>  # [[here|这里]]", {"place": "/content"}, "zh")
    'cd /content  # 这里'
    """
    text = re.sub(r"<<(\w+)>>", lambda found: words[found[1]].rstrip("\n"), text)
    return re.sub(r"\[\[(.*?)\|(.*?)\]\]", lambda found: found[1 + LANGUAGES.index(language)], text)
