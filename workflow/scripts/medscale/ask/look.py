"""How answers look in a terminal: two columns that grow, or one after the other, without what could command it."""

import sys
import unicodedata
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from medscale.ask.asker import Growing, side_by_side
from medscale.ask.texts import text

WIDE = 72
"""Columns of a terminal from which two answers stand side by side."""
FRAME = 6
"""Rows and columns that a panel and what stands around it take of the screen."""


def harmless(words: str) -> str:
    """Return a text without control characters: a model's answer must not move the cursor or colour the screen."""
    return "".join(c for c in words if c in "\n\t" or unicodedata.category(c) != "Cc")


class Look:
    """Shows answers while they grow.

    Args:
        language: ``en`` or ``zh``.
        label: returns what a side is called.
    """

    def __init__(self, language: str, label: Callable[[str], str]):
        self.language, self.label = language, label
        self.console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)

    @property
    def plain(self) -> bool:
        """Whether what is shown goes into a pipe or a file."""
        return not self.console.is_terminal

    def show(self, answers: Sequence[Growing]) -> bool:
        """Let answers grow and show them; return whether Ctrl+C stopped them."""
        stopped = self._grow(answers)
        for answer in answers:
            if answer.left_out:
                self.say(f"{self.label(answer.side)}: {text('left_out', self.language, n=answer.left_out)}")
        return stopped

    def _grow(self, answers: Sequence[Growing]) -> bool:
        if self.plain or len(answers) == 1 or self.console.width < WIDE:
            return self._one_after_the_other(answers)
        stopped = False
        with Live(console=self.console, transient=True, auto_refresh=False, vertical_overflow="crop") as live:
            try:
                for _ in side_by_side(answers):
                    live.update(self._columns(answers, self.console.height - FRAME), refresh=True)
            except KeyboardInterrupt:
                stopped = True
        self.console.print(self._columns(answers, None, stopped))
        return stopped

    def say(self, words: str, style: str = "dim") -> None:
        """Print a line of our own: among messages where the answers go into a pipe."""
        if self.plain:
            print(words, file=sys.stderr, flush=True)
        else:
            self.console.print(Text(words, style=style))

    def quote(self, head: str, words: str) -> None:
        """Print what somebody else said, among the answers: a question or a reference answer."""
        self.console.print(Text(head, style="bold"))
        self._write(harmless(words) + "\n")

    def _columns(self, answers: Sequence[Growing], height: int | None, stopped: bool = False) -> Table:
        grid = Table.grid(expand=True)
        width = self.console.width // len(answers)
        for _ in answers:
            grid.add_column(ratio=1, overflow="fold")
        panels = []
        for answer in answers:
            body = Text(harmless(answer.text) or ("" if not answer.ended else text("empty", self.language)))
            if height is not None:  # the end of what is taller than the screen; all of it stays when it is finished
                lines = body.wrap(self.console, width - 4)
                body = Text("\n").join(lines[-max(1, height) :])
            name = Text(self.label(answer.side), style="bold")
            panels.append(
                Panel(body, title=name, subtitle=self._note(answer, stopped), title_align="left", height=None)
            )
        grid.add_row(*panels)
        return grid

    def _one_after_the_other(self, answers: Sequence[Growing]) -> bool:
        for answer in answers:
            self.console.print(Text(f"[{self.label(answer.side)}]", style="bold"))
            written, stopped = "", False
            try:
                for _ in answer.steps():
                    shown = harmless(answer.text)
                    self._write(shown[len(written) :])
                    written = shown
            except KeyboardInterrupt:
                stopped = True
            if not written and answer.ended:
                self._write(text("empty", self.language))
            self._write("\n")
            if not self.plain:
                self.console.print(self._note(answer, stopped))
            if stopped:
                return True
        return False

    def _write(self, words: str) -> None:
        self.console.file.write(words)
        self.console.file.flush()

    def _note(self, answer: Growing, stopped: bool) -> Text:
        """Return in a few words how an answer ended."""
        count = {"n": answer.n_tokens}
        parts = [text("cut" if answer.ended == "length" else "tokens", self.language, **count)]
        if stopped and not answer.ended:
            parts.append(text("stopped", self.language))
        return Text(" · ".join(parts), style="dim")
