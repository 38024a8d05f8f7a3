"""A digest changes with what a script does, and with nothing else."""

import pytest

from medscale.base import digest

CACHES = (digest.code_digest, digest.local_imports, digest._files, digest._read)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A small package to take digests of: write files, then take the digest of stage.py."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "medscale" / (name.replace("__", "/", 1) + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def take():
        for function in CACHES:
            function.cache_clear()
        return digest.code_digest("stage.py")

    (tmp_path / "stage.py").write_text('"""Doc."""\nfrom medscale.room.outer import run\nrun()\n')
    write(
        room__outer="def run():\n    '''Doc.'''\n    from medscale.cellar import inner\n    return inner.x\n",
        cellar__inner="x = 1  # one\n",
        cellar__other="y = 1\n",
    )
    monkeypatch.setattr(digest, "SCRIPTS", tmp_path)
    yield write, take
    monkeypatch.undo()
    for function in CACHES:
        function.cache_clear()


def test_a_digest_follows_statements_through_imports(scripts):
    write, take = scripts
    before = take()
    write(cellar__inner="x = 2\n")
    assert take() != before


def test_a_digest_ignores_comments_docstrings_formatting_and_strangers(scripts):
    write, take = scripts
    before = take()
    write(
        cellar__inner='"""New."""\n\nx   =   1\n',
        room__outer="def run():\n    from medscale.cellar import inner\n    return (inner.x)\n",
        cellar__other="y = 2\n",
    )
    assert take() == before


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("from . import near", "room__near"),
        ("from .near import x", "room__near"),
        ("from ..cellar import far", "cellar__far"),
        ("from ..cellar.far import x", "cellar__far"),
        ("from .. import cellar", "cellar____init__"),
        ("import medscale.cellar.far", "cellar__far"),
        ("from medscale.cellar import inner, far", "cellar__far"),
    ],
)
def test_a_digest_follows_relative_and_dotted_imports(scripts, line, imported):
    write, take = scripts
    write(room__outer=f"def run():\n    {line}\n", **{imported: "x = 1\n"})
    before = take()
    write(**{imported: "x = 2\n"})
    assert take() != before


@pytest.mark.parametrize("package", ["__init__", "room____init__", "cellar____init__"])
def test_a_digest_follows_what_packages_run_when_they_are_imported(scripts, package, tmp_path):
    _, take = scripts
    path = tmp_path / "medscale" / (package.replace("____init__", "/__init__") + ".py")
    path.write_text('"""A room."""\n')
    before = take()
    path.write_text('"""Another docstring."""\n')
    assert take() == before
    path.write_text('"""A room."""\nx = 1\n')
    assert take() != before


def test_a_digest_is_of_names_too(scripts):
    """The same lines in another file are another thing."""
    write, take = scripts
    write(room__outer="from medscale.cellar import inner\n")
    before = take()
    write(cellar__other="x = 1\n", room__outer="from medscale.cellar import other as inner\n")
    assert take() != before


def test_a_digest_is_the_same_on_every_machine_and_python(scripts):
    """Or an upgrade would make each study stale."""
    _, take = scripts
    assert take() == "a8cad05f7451b57d"


def test_a_file_may_be_empty_and_a_body_nothing_but_a_docstring(scripts):
    write, take = scripts
    write(cellar__inner="")
    empty = take()
    write(cellar__inner="# a comment\n")
    assert take() == empty
    write(cellar__inner="async def f():\n    '''Doc.'''\n\nclass C:\n    '''Doc.'''\n")
    before = take()
    write(cellar__inner="async def f():\n    pass\n\nclass C:\n    pass\n")
    assert take() == before != empty


def test_a_text_that_is_no_docstring_counts(scripts):
    write, take = scripts
    texts = ["x = 1\n'a'\n", "x = 1\n'b'\n", "1\nx = 1\n", "2\nx = 1\n", "b'a'\nx = 1\n", "if x:\n    'a'\n"]
    taken = set()
    for text in texts:
        write(cellar__inner=text)
        taken.add(take())
    assert len(taken) == len(texts)


def test_a_mistake_in_the_code_is_found_with_its_file(scripts, tmp_path):
    write, take = scripts
    write(cellar__inner="x = = 1\n")
    with pytest.raises(SyntaxError) as caught:
        take()
    assert caught.value.filename == str(tmp_path / "medscale" / "cellar" / "inner.py")


def test_local_imports_are_the_files_that_python_runs(scripts, tmp_path):
    write, take = scripts
    package = tmp_path / "medscale"
    (package / "__init__.py").write_text("")
    write(room____init__="", room__near="import os, json.decoder\nfrom medscale_extra import a\n")
    (tmp_path / "medscale_extra.py").write_text("")
    write(room__outer="import os\nfrom . import near, absent\nimport medscale.cellar.inner as i, sys\n")
    take()
    assert digest.local_imports(package / "room" / "outer.py") == {
        package / "__init__.py",
        package / "room" / "__init__.py",
        package / "room" / "near.py",
        package / "cellar" / "inner.py",
    }
    assert digest.local_imports(package / "room" / "near.py") == frozenset()


def test_modules_that_import_each_other_are_followed_once(scripts):
    write, take = scripts
    line = "from medscale.cellar import {}\nx = {}\n"
    write(cellar__inner=line.format("other", 1), cellar__other=line.format("inner", 1))
    before = take()
    write(cellar__other=line.format("inner", 2))
    assert take() != before


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        path = tmp_path / "encoder"
        (path / "deep" / "er").mkdir(parents=True)
        (path / "config.json").write_bytes(b"{}")
        (path / "deep" / "er" / "词.txt").write_bytes(b"\x00\xff")
        return path

    def test_names_and_bytes_make_the_digest_wherever_the_folder_lies(self, folder, tmp_path):
        before = digest.folder_digest(folder)
        assert before == "ac79d22d3c6d26a5"
        assert digest.folder_digest(folder.rename(tmp_path / "renamed")) == before

    def test_a_changed_byte_name_or_place_changes_it(self, folder):
        taken = [digest.folder_digest(folder)]
        (folder / "config.json").write_bytes(b"[]")
        taken.append(digest.folder_digest(folder))
        (folder / "config.json").rename(folder / "other.json")
        taken.append(digest.folder_digest(folder))
        (folder / "other.json").rename(folder / "deep" / "other.json")
        taken.append(digest.folder_digest(folder))
        assert len(set(taken)) == 4

    def test_empty_folders_do_not_count(self, folder):
        before = digest.folder_digest(folder)
        (folder / "empty").mkdir()
        assert digest.folder_digest(folder) == before


@pytest.mark.parametrize("script", ["finetune.py", "predict.py"])
def test_training_and_answers_do_not_depend_on_what_is_asked_of_files_before(script):
    """A new message or suffix there would make every adapter and every answer anew."""
    names = {path.stem for path in digest.with_imports(digest.SCRIPTS / script) - digest.TELLING}
    assert {"manifest", "tokenizer", "loading"} <= names
    assert not names & {"corpus_files", "weights", "model_config", "sources", "hub", "proxies"}


def test_what_only_tells_of_a_training_is_no_part_of_its_digest(monkeypatch):
    read = []
    monkeypatch.setattr(digest, "_normal_form", lambda path: read.append(path.stem) or "")
    digest.code_digest.__wrapped__("finetune.py")
    assert "trainer" in read
    assert not {"progress", "secrets", "asked", "callback"} & set(read)
    assert all(path.is_file() for path in digest.TELLING)
