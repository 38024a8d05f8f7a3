"""A configuration file that cannot be read is named with the line, before Snakemake reads it."""

import subprocess
import sys

import pytest

from medscale.base.config_file import require_own_code, require_readable
from medscale.base.errors import UserError
from places import ROOT, SCRIPTS

TEXT = "study:\n  sizes: [10]\ndata:\n  path: 问答.csv  # 中文\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            TEXT.encode("gb18030"),
            r"is GB18030, as line 4 shows, «path: 问答\.csv  # 中文», and Snakemake .*UTF-8 \[C135\]$",
        ),
        (TEXT.encode("utf-16"), r"is UTF-16, .*save the file as UTF-8 \[C135\]$"),
        (TEXT.encode("utf-32"), r"is UTF-32, .*\[C135\]$"),
        (TEXT.encode() + b"\xff\xff: 1\n", r"is not UTF-8 in line 5, .*\[C135\]$"),
        (TEXT.replace("  path", "\tpath").encode(), r"line 4: a tab stands before the text; .* spaces \[C136\]$"),
        (b"study:\n  sizes: [10\ndata: {}\n", r"line 3: this is no YAML \(.*\); mend the line.*\[C136\]$"),
        (b"- a\n- b\n", r"holds no keys with values but list; .*\[C136\]$"),
        (b"a: !!python/object:os.system {}\n", r"line 1: this is no YAML .*\[C136\]$"),
        (None, r"cannot be read \(No such file or directory\).*\[C135\]$"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, told):
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=told) as error:
        require_readable(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    "content", [TEXT.encode(), TEXT.encode("utf-8-sig"), b"", b"# nothing\n", b'{"a": {"b": "\t"}}']
)
def test_what_snakemake_can_read_passes(tmp_path, content):
    (tmp_path / "study.yaml").write_bytes(content)
    require_readable(tmp_path / "study.yaml")


def check(folder, *files) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPTS / "check_config.py", *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")


def test_the_program_names_the_first_file_that_cannot_be_read(tmp_path):
    (tmp_path / "study.yaml").write_bytes(TEXT.encode("gb18030"))
    done = check(tmp_path, ROOT / "config" / "config.yaml", "study.yaml")
    assert done.returncode == 1
    assert done.stderr.startswith("error: study.yaml: is GB18030")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("training: {learning_rat: 0.1}\n", "training.learning_rat: unknown key (did you mean learning_rate?)"),
        ("study: {sizes: [10], test_size: one}\n", 'study.test_size = "one": must be a whole number'),
        (
            "evaluation: {max_samples: 50}\nstudy: {test_size: 40}\n",
            "max_samples = 50: must be at most study.test_size",
        ),
    ],
)
def test_the_program_names_what_a_study_cannot_be_told(tmp_path, content, told):
    """Alone, or what it makes of the files before it; with the words that Snakemake ends with."""
    (tmp_path / "study.yaml").write_text(content, encoding="utf-8")
    done = check(tmp_path, "study.yaml")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    command = [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--configfile", "study.yaml"]
    snakemake = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    problem = next(line for line in done.stderr.splitlines() if told in line).strip()
    assert problem in snakemake.stdout + snakemake.stderr


def test_the_program_merges_the_files_as_snakemake_does(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("study: {test_size: 40}\n", encoding="utf-8")
    (tmp_path / "a.yaml").write_text("evaluation: {max_samples: 50}\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("study: {test_size: 60}\n", encoding="utf-8")
    assert check(tmp_path, "a.yaml", "b.yaml").returncode == 0
    assert "max_samples = 50: must be at most study.test_size, which is 40" in check(tmp_path, "a.yaml").stderr


def test_a_call_of_one_checkout_with_the_code_of_another_is_refused(tmp_path):
    require_own_code(SCRIPTS)
    with pytest.raises(UserError, match=r"--logger medscale is that of another checkout, .*\[B173\]"):
        require_own_code(tmp_path / "workflow" / "scripts")


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml"])
def test_what_is_shipped_is_no_mistake(tmp_path, name):
    done = check(tmp_path, ROOT / "config" / name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_study_whose_own_configuration_cannot_be_read_says_so(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_bytes(TEXT.encode("gb18030"))
    command = [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--directory", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode != 0
    assert "config/config.yaml: is GB18030, as line 4 shows" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
