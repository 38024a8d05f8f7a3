"""pytest, held open: the tests are collected and run once, and every fork of the process can run some of them again."""

import gc
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import _lru_cache_wrapper
from pathlib import Path

import coverage
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

# A test hangs that takes this many times its seconds, and these more.
TIMES, SECONDS = 4, 5


class Unsound(Exception):
    """The tests cannot judge mutants."""


class Lines:
    """Which tests run a line, also in the processes that they start and in the fixtures that they share."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.fixtures: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.recorder = coverage.Coverage(data_file=None, config_file=False, source_pkgs=["medscale"], messages=False)
        self.recorder._warn_unimported_source = False  # the package is imported by now; what that ran is of no test

    def start(self) -> None:
        """Record from here on."""
        os.environ["MUTATION_LINES"] = str(self.folder)
        self.recorder.start()

    @contextmanager
    def of(self, name: str):
        """Note the lines that run inside for ``name``: a test, or a fixture that several tests share."""
        before = os.environ.get("MUTATION_TEST", "")
        self._switch(name)
        yield
        self._switch(before)

    def _switch(self, name: str) -> None:
        self.recorder.switch_context(name)
        os.environ["MUTATION_TEST"] = name

    def stop(self, users: dict[str, set[str]]) -> None:
        """Stop, and give a shared fixture's lines to the tests that use it."""
        self.recorder.stop()
        del os.environ["MUTATION_LINES"], os.environ["MUTATION_TEST"]
        data = self.recorder.get_data()
        for part in sorted(self.folder.glob("lines.*")):
            other = coverage.CoverageData(basename=str(part))
            other.read()
            data.update(other)
        for path in data.measured_files():
            for line, names in data.contexts_by_lineno(path).items():
                for name in filter(None, names):
                    self.tests[path, line] |= users.get(name, {name})
                    if name in users:
                        self.fixtures[path, line].add(name)


class Session:
    """A pytest plugin that runs all tests once, then hands over to ``work`` while the session is still open."""

    def __init__(self, folder: Path, work: Callable[["Session"], None]):
        self.folder = folder
        self.lines = Lines(folder)
        self.work = work
        self.trouble: str | None = None
        self.items: dict[str, pytest.Item] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.definitions: dict[str, pytest.FixtureDef] = {}
        self.shared: dict[str, set[str]] = defaultdict(set)
        self.seconds_shared: dict[str, float] = defaultdict(float)
        self.noted = False

    def pytest_configure(self) -> None:
        """Hypothesis tries the same examples each time, and does not look for the smallest one that fails."""
        settings.register_profile(
            "mutants", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        """Keep the lines of a fixture that several tests share apart from those of its first test."""
        if self.noted and fixturedef.scope != "function":
            begin = time.monotonic()
            with self.lines.of(_fixture(fixturedef)):
                yield
            self.seconds_shared[_fixture(fixturedef)] += time.monotonic() - begin
        else:
            yield

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests while their lines are recorded; then do the work."""
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self.items = {item.nodeid: item for item in session.items}
        for item in session.items:
            for definitions in item._fixtureinfo.name2fixturedefs.values():
                for definition in definitions:
                    if definition.scope != "function":
                        self.shared[_fixture(definition)].add(item.nodeid)
                        self.definitions[_fixture(definition)] = definition
        self.lines.start()
        self.noted = True
        # After the last test only what the whole session shares stays set up, for the forks to use.
        for item, following in zip(session.items, [*session.items[1:], session], strict=True):
            begin = time.monotonic()
            with self.lines.of(item.nodeid):
                passed = run_one(item, following)
            self.seconds[item.nodeid] = time.monotonic() - begin
            if not passed:
                self.trouble = f"{item.nodeid} fails without any mutant"
                return True
        self.noted = False
        self.lines.stop(self.shared)
        with session.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
            try:
                self.work(self)
            except Unsound as error:
                self.trouble = str(error)
        return True

    def ordered(self, names: set[str]) -> list[pytest.Item]:
        """Return tests, quick ones first; those of a file stay together, since they share fixtures."""
        files: dict[str, list[str]] = defaultdict(list)
        for name in names:
            files[name.partition("::")[0]].append(name)
        groups = sorted(files.values(), key=lambda group: sum(map(self.seconds.__getitem__, group)) / len(group))
        return [self.items[name] for group in groups for name in sorted(group, key=self.seconds.__getitem__)]

    def expected(self, name: str) -> float:
        """Return the seconds that a test took, with those of every fixture that it shares."""
        return self.seconds[name] + sum(self.seconds_shared[key] for key, users in self.shared.items() if name in users)

    def limit(self, name: str) -> None:
        """Let SIGALRM end this process if the test that starts now hangs."""
        signal.setitimer(signal.ITIMER_REAL, TIMES * self.expected(name) + SECONDS)

    def forget(self, lines: set[tuple[str, int]]) -> None:
        """Build a fixture of the whole session anew if it ran one of ``lines``; others are kept: they take seconds."""
        for name in set().union(*(self.lines.fixtures.get(line, ()) for line in lines)):
            self.definitions[name].cached_result = None

    def run(self, items: Sequence[pytest.Item], folder: Path) -> str | None:
        """Run tests in a fork, with temporary files in ``folder``; return the first that fails."""
        folder.mkdir()
        items[0].config._tmp_path_factory._basetemp = folder
        for item, following in zip(items, [*items[1:], None], strict=True):
            self.limit(item.nodeid)
            if not run_one(item, following):
                return item.nodeid
        return None


def run_one(item: pytest.Item, following: pytest.Item | pytest.Session | None) -> bool:
    """Run a test as pytest does, and tell whether it passed or was skipped."""
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _fixture(definition: pytest.FixtureDef) -> str:
    return f"fixture {definition.argname} of {definition.baseid or '.'}"


def cached_functions() -> list[_lru_cache_wrapper]:
    """Return the functions of the package that keep their results: a mutant may return something else."""
    found = [thing for thing in gc.get_objects() if type(thing) is _lru_cache_wrapper]
    return [function for function in found if function.__module__.partition(".")[0] == "medscale"]
