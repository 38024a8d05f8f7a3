"""`make mutants`: what it is told to change and to run exists, and its changes are made, found by tests, and undone."""

import ast
import re
import types
from contextlib import suppress

import pytest

from medscale.base.rooms import ROOMS as PACKAGES
from mutation.changes import mutants_of
from mutation.rooms import MARKERS, PACKAGE, ROOMS
from mutation.running import exchange
from places import ROOT

CODE = '''"""A module."""

from functools import cache, cached_property

LIMIT = 3
Row = tuple[str, int]


@cache
def below(value: int, limit: int = LIMIT) -> bool:
    """Whether it is below."""
    if value is None:
        raise ValueError("no value", 5)
    print("looked at", value)
    return value < limit


class Box:
    size = 4

    @property
    def twice(self) -> int:
        return self.size * 2

    @cached_property
    def half(self) -> float:
        return self.size / 2

    @staticmethod
    def add(a, b):
        return a + b
'''


@pytest.fixture
def mutants(tmp_path):
    path = tmp_path / "part" / "module.py"
    path.parent.mkdir()
    path.write_text(CODE, encoding="utf-8")
    return {mutant.name: mutant for mutant in mutants_of(path, tmp_path)}


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_name_files_and_tests_that_exist(name):
    room = ROOMS[name]
    assert room.paths(ROOT)
    assert all((ROOT / PACKAGE / file).exists() for file in [*room.files, *room.left_out])
    assert all((ROOT / path).exists() for path in room.tests)
    for test in room.deselected:
        file, _, function = test.partition("::")
        names = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
            if hasattr(node, "name")
        }
        assert set(re.sub(r"\[.*", "", function).split("::")) <= names
    assert name in PACKAGES or name == "staleness"


def test_the_markers_left_out_are_those_of_the_project():
    declared = re.findall(r'^    "(\w+): ', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert " and ".join(f"not {name}" for name in declared) == MARKERS


def test_a_change_is_made_wherever_it_could_matter_and_nowhere_else(mutants):
    changed = {tuple(line for line in mutant.diff().splitlines() if line[0] in "+-") for mutant in mutants.values()}
    assert ("-LIMIT = 3", "+LIMIT = 4") in changed
    assert ("-    return value < limit", "+    return value <= limit") in changed
    assert ("-        return self.size * 2", "+        return self.size / 2") in changed
    lines = {before for before, _ in changed}
    assert not [line for line in lines if re.search(r"raise|print|tuple|import|\"\"\"|def |@", line)]
    assert all(ast.parse(mutant.source()) for mutant in mutants.values())


@pytest.mark.parametrize(
    ("name", "call", "before", "after"),
    [
        ("below", lambda module: module.below(3), False, True),
        ("Box.twice", lambda module: module.Box().twice, 8, 2),
        ("Box.half", lambda module: module.Box().half, 2, 8),
        ("Box.add", lambda module: module.Box.add(4, 2), 6, 2),
    ],
)
def test_a_function_gets_the_code_of_its_mutant_under_any_decorator(mutants, name, call, before, after):
    module = types.ModuleType("module")
    exec(compile(CODE, "module.py", "exec"), vars(module))
    assert call(module) == before
    module.below.cache_clear()
    seen = set()
    for mutant in mutants.values():
        if mutant.function == name:
            assert exchange(module, name, mutant.source(), "module.py")
            module.below.cache_clear()
            with suppress(ValueError, TypeError):
                seen.add(call(module))
    assert after in seen


def test_what_lies_outside_of_functions_names_what_it_defines(mutants):
    outside = {mutant.names for mutant in mutants.values() if mutant.function is None}
    assert outside == {("LIMIT",), ("Box",)}


def test_a_default_is_judged_by_what_runs_the_function(tmp_path):
    path = tmp_path / "part" / "module.py"
    path.parent.mkdir()
    path.write_text("def scaled(value, factor=2):\n    found = value\n    return found * factor\n", encoding="utf-8")
    default = next(mutant for mutant in mutants_of(path, tmp_path) if "factor=3" in mutant.source())
    assert default.function is None
    assert default.lines == {1, 2, 3}
