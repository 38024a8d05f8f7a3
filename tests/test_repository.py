"""The repository keeps its own promises: layers, generated files, digests, style."""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest

from conftest import ROOT
from medscale import digest

PACKAGE = ROOT / "workflow" / "scripts" / "medscale"
HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets"}
# Modules that may import the heavy libraries at their top; all others belong to the layers below.
MODELS = {
    *("hardware", "modeling", "training", "generation", "decoding", "padding", "vllm_engine", "tiny_model"),
    *("answer_loss", "adapter_dropout", "accelerations", "bertscore"),
    *("forecast_model", "forecast_training", "forecast_prediction", "forecast_rows"),
}
# Modules that draw or write for readers; nothing but scripts and each other may import them.
REPORTS = {
    *("figures", "plots", "loss_plots", "pareto_plots", "scaling_plots", "records", "summary"),
    *("html_report", "report_inputs", "report_answers", "report_tables", "report_scaling", "report_costs"),
    *("report_facts", "report_texts"),
}


def top_imports(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def modules():
    return sorted(path for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_imports_point_down(path):
    ours = {name.split(".")[1] for name in top_imports(path) if name.startswith("medscale.")}
    heavy = {name.split(".")[0] for name in top_imports(path)} & HEAVY
    if path.stem not in MODELS:
        assert not heavy
        assert not ours & MODELS
    if path.stem not in REPORTS:
        assert not ours & REPORTS


def test_generated_files_are_in_step():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of step: run `make docs`"


def test_every_rule_tells_its_code_log_and_needs():
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = rule.split(":")[0]
            script = re.search(r"workflow/scripts/(\w+\.py)", rule)[1]
            assert f'code=code("{script}")' in rule, name
            for part in ("log:", "benchmark:", "conda:", "resources:", "message:", "mem_mb=", "runtime="):
                assert part in rule or (name, part) == ("plan", "benchmark:"), f"{name} has no {part}"


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "workflow" / "scripts").glob("*.py")))
def test_every_script_explains_itself(script):
    done = subprocess.run(
        [sys.executable, ROOT / "workflow" / "scripts" / script, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n\n")[1].strip()) > 20


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A small package to take digests of."""
    (tmp_path / "medscale").mkdir()
    (tmp_path / "stage.py").write_text('"""Doc."""\nfrom medscale.outer import run\nrun()\n')
    (tmp_path / "medscale" / "outer.py").write_text(
        "def run():\n    '''Doc.'''\n    from medscale import inner\n    return inner.x\n"
    )
    (tmp_path / "medscale" / "inner.py").write_text("x = 1  # one\n")
    (tmp_path / "medscale" / "other.py").write_text("y = 1\n")
    monkeypatch.setattr(digest, "SCRIPTS", tmp_path)

    def take():
        for function in (digest.code_digest, digest._tree, digest._normal_form):
            function.cache_clear()
        return digest.code_digest("stage.py")

    yield tmp_path, take
    monkeypatch.undo()
    for function in (digest.code_digest, digest._tree, digest._normal_form):
        function.cache_clear()


def test_a_digest_follows_statements_through_imports(scripts):
    folder, take = scripts
    before = take()
    (folder / "medscale" / "inner.py").write_text("x = 2\n")
    assert take() != before


def test_a_digest_ignores_comments_docstrings_formatting_and_strangers(scripts):
    folder, take = scripts
    before = take()
    (folder / "medscale" / "inner.py").write_text('"""New."""\n\nx   =   1\n')
    (folder / "medscale" / "outer.py").write_text("def run():\n    from medscale import inner\n    return (inner.x)\n")
    (folder / "medscale" / "other.py").write_text("y = 2\n")
    assert take() == before


def test_no_machine_path_and_no_leftover_stands_in_tracked_files():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        if name.endswith((".py", ".smk", ".yaml", ".md", "Snakefile", "Makefile")):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(r"/(home|root|Users)/\w", text), name
            assert not re.search(r"\b(TODO|FIXME)\b", text) or name == "tests/test_repository.py", name
