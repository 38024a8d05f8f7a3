"""Tokens and passwords of the environment, hidden in whatever a program of ours or a client of a hub prints."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO
from urllib.parse import unquote

from medscale.base.credentials import split_address, without_credentials
from medscale.base.errors import UserError, scarcity
from medscale.fetch.proxies import passwords

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN", "MODELSCOPE_TOKEN")
ENDPOINTS = ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT")
CREDENTIALS = ("MEDSCALE_MODEL_CREDENTIALS", "MEDSCALE_DATA_CREDENTIALS")
SHORTEST = 4
"""Characters from which on a word is hidden; in an address a shorter one is hidden too."""
WITHIN = 6
"""Characters from which on a word is hidden within longer ones, too: to hide ``data`` in every path hides nothing."""
COMMON = {"password", "passwd", "secret", "username", "models", "modelscope", "huggingface", "medscale"}
"""Longer words that are hidden only where they stand alone."""
HIDDEN = "***"


def secrets(endpoint: str | None = None) -> list[str]:
    """Return what must not be shown, the longest first; ``endpoint`` is the one that was asked for."""
    found = [os.environ.get(name, "").strip() for name in TOKENS]
    credentials = [split_address(address)[0] for address in [endpoint, *map(os.environ.get, ENDPOINTS)]]
    credentials += [os.environ.get(name, "") for name in CREDENTIALS]
    for each in credentials:
        user, _, password = each.partition(":")
        found += [password or user, unquote(password or user)]
    found += passwords()
    return sorted({word for word in found if len(word) >= SHORTEST}, key=len, reverse=True)


class Hiding:
    """A stream that writes ``***`` in place of secrets, and otherwise is the stream it was made from."""

    def __init__(self, stream: TextIO, words: list[str]):
        self._stream, self._words = stream, words

    def write(self, text: str) -> int:
        self._stream.write(hide(text, self._words))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def hide(text: str, words: list[str]) -> str:
    """Return a text without these words, and without user and password in addresses."""
    for word in words:
        if len(word) < WITHIN or word.lower() in COMMON:
            text = re.sub(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", HIDDEN, text)
        else:
            text = text.replace(word, HIDDEN)
    return without_credentials(text)


@contextmanager
def nothing_told(endpoint: str | None) -> Iterator[None]:
    """Hide the secrets in all that is printed meanwhile, in the `UserError` and in the traceback of a defect."""
    words = secrets(endpoint)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Hiding(stream, words) for stream in before)
    try:
        yield
    except UserError as error:
        raise UserError(error.code, hide(error.text, words)) from None
    except Exception as error:
        if told := scarcity(error):  # as `run_script` would, which sees no more than the exit
            raise UserError(told.code, hide(told.text, words)) from None
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        sys.stdout, sys.stderr = before
