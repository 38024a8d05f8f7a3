"""A program in a terminal of its own, that is typed to and read from as people do."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")


def _as_a_shell_would() -> None:
    """Take the terminal, and let Ctrl+C be heard, which is off in what a script has started in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class PseudoTerminal:
    """Runs a command in a terminal of so many rows and columns. Use as a context manager; what still runs is ended."""

    def __init__(self, command: list[str], environment: dict[str, str], columns: int = 100, rows: int = 40):
        self.main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.said = b""
        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": str(rows)},
            start_new_session=True,
            preexec_fn=_as_a_shell_would,
        )
        os.close(other)

    def __enter__(self) -> "PseudoTerminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)

    def type(self, words: str) -> None:
        """Type words; \\r is Enter, \\x03 Ctrl+C, \\x04 Ctrl+D."""
        self.said = b""
        os.write(self.main, words.encode())

    def text(self) -> str:
        """Return what was said since something was typed, without colours and movements."""
        return ESCAPES.sub("", self.said.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, pattern: str, seconds: float = 240) -> str:
        """Read until a pattern has been said, and return all that was said since something was typed."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text()):
            assert time.monotonic() < end, f"not said: {pattern}\n{self.text()[-3000:]}"
            self._read()
        return self.text()

    def ended(self, seconds: float = 240) -> int:
        """Read until the program has ended, and return its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text()[-3000:]
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        ready, _, _ = select.select([self.main], [], [], 0.2)
        if ready:
            try:
                self.said += os.read(self.main, 65536)
            except OSError:  # Linux says so when the last program at the other end has ended
                time.sleep(0.05)
