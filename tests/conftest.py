"""A model that takes no time, a browser, long files first, and one thread where processes are many."""

import os
import random
import shutil
import sys
import warnings

import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from sentences import TEXTS
from slowest import SLOWEST

# No test fails because the machine is slow.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads of one worker that wait for those of another cost more than they give for models so small. Jobs of the
    # workflow are told by Snakemake how many they have.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first, then others with slow tests: with a file a process, a long one at the end
    would have one process work and the others wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("workflow")}
    places = {f"test_{name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: (places.get(item.path.name, len(places)), item.path not in slow))


@pytest.fixture(autouse=True)
def same_numbers():
    """What a test draws is the same whichever tests came before it."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The manifest of a Qwen2 model of 0.1 million weights that has learned a few sentences, and of its tokenizer."""
    from medscale.fetch.manifest import write_manifest
    from medscale.model.tiny import new_model, pretrain, train_tokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = train_tokenizer(TEXTS, 600)
    tokenizer.save_pretrained(folder)
    model = new_model(tokenizer, {"hidden_size": 64, "layers": 2}, seed=3)
    pretrain(model, tokenizer, TEXTS, steps=40, seed=3).save_pretrained(folder)
    return write_manifest(folder, kind="model", source="tiny")


@pytest.fixture(scope="session")
def wild_model(tiny_model, tmp_path_factory):
    """The folder of the tiny model with weights so large that its answers differ from each other."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("wild")
    model = AutoModelForCausalLM.from_pretrained(tiny_model.parent)
    for name, weight in model.named_parameters():
        if "proj" in name:
            weight.data.mul_(6)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    """The Chromium of the machine; what needs it is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def warnings_are_errors():
    """A missing glyph, a layout that does not fit: matplotlib only warns of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Collect each figure as it is written, laid out as in the file."""
    drawn: list[Figure] = []
    save = Figure.savefig

    def savefig(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        drawn.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return drawn
