"""A hub of the test's own, and the fetch scripts as a user runs them."""

import pytest

from fetch_runner import Runner
from hub_server import FakeHub


@pytest.fixture
def hub():
    """An empty hub that speaks as Hugging Face and ModelScope do."""
    with FakeHub() as server:
        yield server


@pytest.fixture
def runner(tmp_path):
    """The fetch scripts in a home and a folder of their own."""
    return Runner(tmp_path)
