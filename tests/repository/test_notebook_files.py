"""The notebooks as files: written from one source, the same for both languages, with nothing that was executed."""

import ast
import re

import nbformat
import pytest
import yaml

from medscale.base.config import resolve
from medscale.base.study import runs_of
from notebook_files import FOLDER, LANGUAGES, notebooks
from places import ROOT

NAMES = [f"{service}.{language}" for service in ("colab", "kaggle") for language in LANGUAGES]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def codes(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


def test_the_notebooks_are_those_of_the_source():
    written = notebooks()
    assert {path.name for path in written} == {f"{name}.ipynb" for name in NAMES}
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {path.name for path in written}
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of step: run `make docs`"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_an_execution_and_no_mark_of_the_source_is_left(name):
    notebook = read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not re.search(r"<<|>>|\[\[|\]\]", cell.source)
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            ast.parse(cell.source)


@pytest.mark.parametrize("service", ["colab", "kaggle"])
def test_both_languages_do_the_same(service):
    """Comments, docstrings and printed words apart."""
    texts = [[ast.unparse(without_words(ast.parse(code))) for code in codes(f"{service}.{one}")] for one in LANGUAGES]
    assert texts[0] == texts[1]
    assert not any(CHINESE.search(cell.source) for cell in read(f"{service}.en").cells)
    markdown = [cell.source for cell in read(f"{service}.zh").cells if cell.cell_type == "markdown"]
    assert all(CHINESE.search(text) for text in markdown)


def without_words(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"[ \u4e00-\u9fff]", node.value)
        ):
            node.value = "words"
    return tree


def test_a_form_field_is_offered_where_there_are_forms():
    assert "@param" in codes("colab.en")[0]
    assert "@param" not in "".join(codes("kaggle.en"))


@pytest.mark.parametrize(("demo", "file"), [(True, "demo.yaml"), (False, "config.yaml")])
def test_the_run_to_begin_with_is_one_of_the_study(demo, file):
    config = yaml.safe_load((ROOT / "config" / file).read_text(encoding="utf-8"))
    for name in NAMES:
        tree = ast.parse(codes(name)[0].replace("DEMO = False", f"DEMO = {demo}"))
        values: dict = {}
        exec(compile(tree, name, "exec"), values)
        assert values["DEMO"] is demo
        assert values["FIRST"] in {run.name for run in runs_of(resolve(config))}


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_understood_and_are_the_study_of_the_readme(name, tmp_path):
    (settings,) = [code for code in codes(name) if code.startswith("SETTINGS")]
    given = yaml.safe_load(ast.parse(settings).body[0].value.value)
    shipped = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    for section, values in given.items():
        for key, value in values.items():
            if (section, key) != ("model", "source"):
                assert shipped[section][key] == value, f"{section}.{key}"
    mirrored = yaml.safe_load(re.sub(r"# (endpoint: )", r"\1", ast.parse(settings).body[0].value.value))
    assert resolve({**shipped, "data": shipped["data"] | mirrored["data"]})["data"]["endpoint"].startswith("https://")
