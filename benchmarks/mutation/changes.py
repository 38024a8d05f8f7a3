"""The mutants of a file: mutmut's operators at every place where a change could matter to a user."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, OuterFunctionProvider, deep_replace
from mutmut.mutation.pragma_handling import IgnoredCode, PragmaVisitor

# Calls that talk to people, and calls for type checkers alone: neither changes a result.
SILENT_CALLS = {"print", "warn", "debug", "info", "warning", "error", "add_argument", "ArgumentParser", "TypeVar"}
TYPE_ALIAS = m.Assign(value=m.Subscript(value=m.OneOf(*map(m.Name, ("tuple", "list", "dict", "Callable")))))
# zip(strict=True) guards against mistakes of ours. The locale of the tests is UTF-8, so a dropped encoding changes
# nothing here; tests that run everything in another locale hold it.
GUARDS = {"strict", "encoding"}


def _strings(node: cst.BaseString) -> Iterator[cst.CSTNode]:
    """A text in XX; mutmut's two changes of case say the same again."""
    for index, mutated in enumerate(mutators.operator_string(node)):
        if index == 0:
            yield mutated


def _arguments(node: cst.Call) -> Iterator[cst.CSTNode]:
    """A keyword argument left out; a positional one replaced by None. mutmut does both to both.

    True and False are not left out, since they are turned round, which is what leaving out most often means.
    """
    for index, argument in enumerate(node.args):
        if argument.keyword and argument.keyword.value not in GUARDS:
            if not m.matches(argument.value, m.Name("True") | m.Name("False")):
                yield node.with_changes(args=[*node.args[:index], *node.args[index + 1 :]])
        elif not argument.keyword and not argument.star and not m.matches(argument.value, m.Name("None")):
            replaced = argument.with_changes(value=cst.Name("None"))
            yield node.with_changes(args=[*node.args[:index], replaced, *node.args[index + 1 :]])


_INSTEAD = {mutators.operator_string: _strings, mutators.operator_arg_removal: _arguments}
OPERATORS = [(kind, _INSTEAD.get(operator, operator)) for kind, operator in mutators.mutation_operators]


class _Visitor(MutationVisitor):
    """mutmut's visitor, which goes into decorated functions too, and past what only people read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.statements: list[cst.CSTNode] = []
        self.places: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.BaseStatement):
            self.statements.append(node)
        before = len(self.mutations)
        inside = super().on_visit(node)
        self.places += [(node, self.statements[-1]) for _ in self.mutations[before:]]
        return inside

    def on_leave(self, original_node: cst.CSTNode) -> None:
        super().on_leave(original_node)
        if isinstance(original_node, cst.BaseStatement):
            self.statements.pop()

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Raise | cst.Assert | cst.Decorator) or m.matches(node, TYPE_ALIAS):
            return True
        if isinstance(node, cst.Arg) and node.keyword and node.keyword.value in GUARDS:
            return True
        if isinstance(node, cst.Call):
            name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
            if isinstance(name, cst.Name) and name.value in SILENT_CALLS:
                return True
        if isinstance(node, cst.FunctionDef) and node.decorators:
            return m.matches(node.decorators[0].decorator, m.Name("overload"))
        return super()._skip_node_and_children(node)


@dataclass(frozen=True)
class Mutant:
    """One change to one file.

    ``name`` is the file, the function or ``(module)``, and a number in it: ``compare/power.py:power_table:3``.
    ``lines`` are those of the statement, where coverage is looked up; ``function`` is the qualified name when the
    change lies in the body of a function, so that the code of the function alone has to be exchanged; ``names`` are
    what a statement outside of functions defines.
    """

    name: str
    path: Path
    line: int
    lines: frozenset[int]
    function: str | None
    names: tuple[str, ...]
    module: cst.Module
    mutation: Mutation

    def source(self) -> str:
        """Return the file with the change."""
        changed = deep_replace(self.module, self.mutation.original_node, self.mutation.mutated_node)
        return changed.code

    def diff(self) -> str:
        """Return the change as a unified diff of few lines."""
        before, after = self.module.code.splitlines(), self.source().splitlines()
        return "\n".join(list(unified_diff(before, after, lineterm="", n=2))[2:])


def mutants_of(path: Path, package: Path) -> list[Mutant]:
    """Return every mutant of a file, in the order of the file."""
    code = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(code))
    marked = PragmaVisitor(str(path))
    wrapper.visit(marked)
    visitor = _Visitor(OPERATORS, IgnoredCode(marked.no_mutate_lines, marked.ignore_node_lines, set()))
    module = wrapper.visit(visitor)
    positions = wrapper.resolve(PositionProvider)
    outer = wrapper.resolve(OuterFunctionProvider)
    owners = _owners(module)
    relative = path.relative_to(package).as_posix()
    counts: defaultdict[str, int] = defaultdict(int)
    found = []
    for mutation, (node, statement) in zip(visitor.mutations, visitor.places, strict=True):
        function = outer.get(node)
        qualified = owners.get(id(function))
        where = positions[node]
        held = _within(where, positions[function.body]) if qualified else False
        label = qualified or "(module)"
        counts[label] += 1
        found.append(
            Mutant(
                name=f"{relative}:{label}:{counts[label]}",
                path=path,
                line=where.start.line,
                # A default is used wherever the function's body is run.
                lines=_span(positions[function])
                if qualified and not held
                else _lines(where, statement, positions[statement]),
                function=qualified if held else None,
                names=() if held else _defined(module, positions, where.start.line),
                module=module,
                mutation=mutation,
            )
        )
    return found


def _owners(module: cst.Module) -> dict[int, str]:
    """Return the qualified name of each function and method, by the identity of its node."""
    names = {}
    for node in module.body:
        if isinstance(node, cst.FunctionDef):
            names[id(node)] = node.name.value
        elif isinstance(node, cst.ClassDef):
            for inner in node.body.body:
                if isinstance(inner, cst.FunctionDef):
                    names[id(inner)] = f"{node.name.value}.{inner.name.value}"
    return names


def _within(inner, outer) -> bool:
    start, end = (outer.start.line, outer.start.column), (outer.end.line, outer.end.column)
    return start <= (inner.start.line, inner.start.column) and (inner.end.line, inner.end.column) <= end


def _span(position) -> frozenset[int]:
    return frozenset(range(position.start.line, position.end.line + 1))


def _lines(where, statement: cst.CSTNode, position) -> frozenset[int]:
    """Return the lines that run when the change does: all of a simple statement, the head of a compound one."""
    if isinstance(statement, cst.SimpleStatementLine):
        return _span(position)
    return frozenset({position.start.line, *range(where.start.line, where.end.line + 1)})


def _defined(module: cst.Module, positions, line: int) -> tuple[str, ...]:
    """Return the names that the statement of the module at ``line`` binds."""
    for node in module.body:
        if positions[node].start.line <= line <= positions[node].end.line:
            if isinstance(node, cst.FunctionDef | cst.ClassDef):
                return (node.name.value,)
            return tuple(
                name.value
                for target in m.findall(node, m.AssignTarget() | m.AnnAssign())
                for name in m.findall(target.target, m.Name())
            )
    return ()
