"""A digest changes with what a script does, and with nothing else."""

import pytest

from medscale.base import digest

CACHES = (digest.code_digest, digest.local_imports, digest._tree, digest._normal_form)


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
