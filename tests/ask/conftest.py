"""A finished tiny study, for all tests of this room."""

import os
import shutil

import pytest

from asked_study import AskedStudy
from medscale.ask.study import open_study


@pytest.fixture(scope="session")
def asked_study(tiny_model, wild_model, tmp_path_factory):
    """Return a study with three trained runs; nothing in it may be changed."""
    folder = tmp_path_factory.mktemp("asked")
    model = shutil.copytree(tiny_model.parent, folder / "wild", ignore=shutil.ignore_patterns("manifest.json", ".*"))
    for file in wild_model.iterdir():
        shutil.copy(file, model / file.name)
    study, before = AskedStudy(folder / "study", model), os.getcwd()
    try:
        study.train(open_study([], str(study.folder)).config)
    finally:
        os.chdir(before)
    return study


@pytest.fixture
def opened(asked_study, monkeypatch):
    """Return the study as the script opens it, in its folder."""
    monkeypatch.chdir(asked_study.folder)
    return open_study([], None)


@pytest.fixture
def own_study(asked_study, tmp_path, monkeypatch):
    """Return a copy of the study that a test may damage."""
    folder = shutil.copytree(asked_study.folder, tmp_path / "study")
    copy = object.__new__(AskedStudy)
    copy.__dict__ |= asked_study.__dict__ | {"folder": folder, "results": folder / "results"}
    monkeypatch.chdir(folder)
    return copy
