"""Mutation testing: which small change to the code does no test notice? ``make mutants ROOM=compare`` runs it.

A mutant is the code with one small change, such as ``<`` for ``<=``. It is killed when a test fails, and survives when
all pass; a survivor is a missing test, or a change that makes no difference. `rooms` says what is mutated and which
tests judge it, `changes` makes the mutants with mutmut's operators, `coverage_map` finds the tests that run the changed
line, `running` tries each mutant in a fork of a process in which everything is imported already, and `report` writes
the survivors. mutmut's own runner does it with copies of each function; it cannot reach what is decorated (the cached
functions of ``base/digest.py``), constants, or a package that the tests import from ``workflow/scripts``.
"""
