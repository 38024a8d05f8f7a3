"""Where a layout finds what a sample is made of: the columns of a file, and why it is read so."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from medscale.data.columns import Columns


class Fields(NamedTuple):
    """The columns of one file; ``dialogue`` is that of the turns, where a record is a whole dialogue."""

    layout: str
    why: str
    question: tuple[str, ...] = ()
    answer: str | None = None
    department: str | None = None
    history: str | None = None
    system: str | None = None
    dialogue: str | None = None

    @property
    def names(self) -> set[str]:
        """All columns that are read."""
        single = (self.answer, self.department, self.history, self.system, self.dialogue)
        return {*self.question, *(name for name in single if name is not None)}


class Layout(NamedTuple):
    """A layout: its name, the columns that show it, in words, and what finds them among those of a file."""

    name: str
    shown_by: str
    find: Callable[[Collection[str], Columns, str], Fields | None]


def dialogue_fields(
    name: str, known: tuple[str, ...], found: Collection[str], columns: Columns, why: str
) -> Fields | None:
    """Return the fields of a layout whose records are dialogues, or None where no column holds one."""
    wanted = known if columns.conversation is None else (columns.conversation,)
    column = next((each for each in wanted if each in found), None)
    if column is None:
        return None
    return Fields(
        name,
        f"{why}{column!r}",
        department=columns.department,
        system=columns.system,
        dialogue=column,
    )
