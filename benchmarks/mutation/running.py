"""Try mutants: each in a fork of the process that has imported everything and run all tests once."""

import ast
import gc
import hashlib
import inspect
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from mutation.changes import Mutant
from mutation.hook.sitecustomize import Finder
from mutation.session import SECONDS, TIMES, Session, Unsound, cached_functions

OPTIONS = ("-q", "--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist")
HOOK = Path(__file__).with_name("hook")
MEMORY = 6 * 2**30
LARGEST_FILE = 2**28
# What a fork answers: the tests passed, one failed, or the mutant could not be tried.
PASSED, FAILED, BROKEN = 0, 1, 3


@dataclass(frozen=True)
class Verdict:
    """``status`` is killed, timeout, survived, untested (no test runs the line) or broken (it could not be tried)."""

    mutant: Mutant
    status: str
    tests: int
    seconds: float


class Runner:
    """Tries mutants on a `Session` in ``jobs`` processes at once; ``scratch`` is a folder for their files."""

    def __init__(self, session: Session, scripts: Path, scratch: Path, jobs: int):
        self.session, self.scripts, self.scratch, self.jobs = session, scripts, scratch, jobs
        self._cached = cached_functions()
        self._users: dict[Path, set[str]] = {}

    def check(self) -> None:
        """Run every test in a fork without a mutant, so that no failure is the fork's; raise `Unsound` if one fails."""
        session = self.session
        read, write = os.pipe()
        process = os.fork()
        if not process:
            os.close(read)
            _quiet()
            _limit()
            failed = session.run(session.ordered(set(session.items)), self._folder("check"))
            os.write(write, (failed or "").encode())
            os._exit(FAILED if failed else PASSED)
        os.close(write)
        with os.fdopen(read) as answer:
            failed = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status != PASSED:
            what = failed or f"the process that runs all tests ends with {status}, which"
            raise Unsound(f"{what} fails without any mutant, run a second time in a fork")

    def verdicts(self, mutants: list[Mutant]) -> Iterator[Verdict]:
        """Yield what became of each mutant, in the order in which they end."""
        gc.freeze()  # a fork's garbage collector would copy all that it looks at
        waiting = list(reversed(mutants))
        running: dict[int, tuple[Mutant, int, float, float]] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                tests = self.tests_of(mutant)
                if not tests:
                    yield Verdict(mutant, "untested", 0, 0.0)
                    continue
                begin = time.monotonic()
                end = begin + sum(TIMES * self.session.expected(name) + SECONDS for name in tests)
                process = self._fork(mutant, tests)
                running[process] = (mutant, len(tests), begin, end)
            for process, (mutant, count, begin, end) in list(running.items()):
                done, status = os.waitpid(process, os.WNOHANG)
                late = not done and time.monotonic() > end
                if late:
                    _kill(process)
                    os.waitpid(process, 0)
                if done or late:
                    del running[process]
                    _kill(process)
                    shutil.rmtree(self._folder(str(process)), ignore_errors=True)
                    word = "timeout" if late else _word(os.waitstatus_to_exitcode(status))
                    yield Verdict(mutant, word, count, time.monotonic() - begin)
            time.sleep(0.005)

    def tests_of(self, mutant: Mutant) -> set[str]:
        """Return the tests that run the changed line; for a constant, those that run a line with its name too."""
        lines = self.session.lines.tests
        if mutant.function:
            return set().union(*(lines.get((str(mutant.path), line), ()) for line in mutant.lines))
        found: set[str] = set()
        for (path, line), tests in lines.items():
            used = any(name in _names(path).get(line, ()) for name in mutant.names)
            if used or (path == str(mutant.path) and line in mutant.lines):
                found |= tests
        return found or set().union(*(tests for (path, _), tests in lines.items() if path == str(mutant.path)))

    def _folder(self, name: str) -> Path:
        return self.scratch / name

    def _fork(self, mutant: Mutant, tests: set[str]) -> int:
        items, users = self.session.ordered(tests), self.users_of(mutant.path)
        process = os.fork()
        if process:
            return process
        answer = BROKEN
        try:
            _quiet()
            _limit()
            answer = self._try(mutant, items, users)
        except BaseException as error:
            with open(self.scratch / "broken.txt", "a", encoding="utf-8") as file:
                print(mutant.name, repr(error), file=file)
        finally:
            os._exit(answer)

    def _try(self, mutant: Mutant, items: list[pytest.Item], users: set[str]) -> int:
        folder = self._folder(str(os.getpid()))
        folder.mkdir()
        source = mutant.source()
        module = ".".join(mutant.path.relative_to(self.scripts).with_suffix("").parts).removesuffix(".__init__")
        self._for_other_processes(folder, module, mutant.path, source)
        for function in self._cached:
            if function.__module__ in users:
                function.cache_clear()
        if mutant.function and exchange(sys.modules[module], mutant.function, source, str(mutant.path)):
            self.session.forget({(str(mutant.path), line) for line in mutant.lines})
            return FAILED if self.session.run(items, folder / "tmp") else PASSED
        return self._import_again(module, mutant.path, source, items)

    def _for_other_processes(self, folder: Path, module: str, path: Path, source: str) -> None:
        file = folder / "mutant"
        file.write_text("\0".join([module, str(path), source]), encoding="utf-8")
        os.environ["MUTATION_MUTANT"] = str(file)

    def users_of(self, path: Path) -> set[str]:
        """Return the names of the modules that import a file, through others too, and of itself."""
        if path not in self._users:
            names = {
                name: Path(module.__file__)
                for name, module in list(sys.modules.items())
                if name.partition(".")[0] == "medscale" and getattr(module, "__file__", None)
            }
            imported = {name: _imported(file) for name, file in names.items()}
            users = {name for name, file in names.items() if file == path}
            while more := {name for name, found in imported.items() if found & users} - users:
                users |= more
            self._users[path] = users
        return self._users[path]

    def _import_again(self, module: str, path: Path, source: str, items: list[pytest.Item]) -> int:
        """Import the package and the tests anew, with the mutant in place, and run pytest inside this process."""
        chosen = {item.nodeid: place for place, item in enumerate(items)}
        rootdir = items[0].config.rootpath
        for name, loaded in list(sys.modules.items()):
            file = getattr(loaded, "__file__", None) or ""
            ours = file.startswith((str(rootdir / "tests"), str(self.scripts)))  # stages that tests import, too
            if name.partition(".")[0] == "medscale" or ours:
                del sys.modules[name]
        sys.meta_path.insert(0, Finder(module, str(path), source))

        class Chosen:
            def pytest_collection_modifyitems(self, items):
                items[:] = sorted((item for item in items if item.nodeid in chosen), key=lambda x: chosen[x.nodeid])

            def pytest_runtest_logstart(self, nodeid):
                session.limit(nodeid)

        session = self.session
        files = sorted({name.partition("::")[0] for name in chosen})
        status = pytest.main([*OPTIONS, "-x", f"--rootdir={rootdir}", *files], plugins=[Chosen()])
        if status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
            return FAILED
        return PASSED if status == pytest.ExitCode.OK else BROKEN


def exchange(module, qualified: str, source: str, path: str) -> bool:
    """Give a function the code that it has in ``source``; tell whether that was possible."""
    owner = module
    *classes, name = qualified.split(".")
    for part in classes:
        owner = vars(owner)[part]
    found = vars(owner).get(name)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, cached_property):
        found = found.func
    elif isinstance(found, staticmethod | classmethod):
        found = found.__func__
    found = inspect.unwrap(found) if found is not None else None
    codes = list(_codes(compile(source, path, "exec"), qualified))
    if not isinstance(found, FunctionType) or not codes or found.__code__.co_freevars != codes[-1].co_freevars:
        return False
    found.__code__ = codes[-1]
    return True


def _codes(code: CodeType, qualified: str) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == qualified:
                yield constant
            yield from _codes(constant, qualified)


@cache
def _names(path: str) -> dict[int, set[str]]:
    """Return the names that each line of a file uses."""
    names: dict[int, set[str]] = {}
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if word:
            names.setdefault(node.lineno, set()).add(word)
    return names


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _quiet() -> None:
    """Become the head of a group of processes that can be killed together, and say nothing."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _limit() -> None:
    """A mutant that allocates or writes without end gets an error."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


def _kill(process: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def _word(status: int) -> str:
    return {PASSED: "survived", BROKEN: "broken", -signal.SIGALRM: "timeout"}.get(status, "killed")


def sample(mutants: list[Mutant], count: int | None, seed: int) -> list[Mutant]:
    """Return all mutants, or ``count`` of them in their order: those whose names and ``seed`` have the lowest hash.

    So a sample stays the same while tests are added, and nearly the same while code is.
    """
    if count is None:
        return mutants
    ranks = {mutant.name: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest() for mutant in mutants}
    last = sorted(ranks.values())[:count][-1]
    return [mutant for mutant in mutants if ranks[mutant.name] <= last]
