"""Pages that are one file and safe: data in a script element, and a policy that lets nothing else run or load."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_SURROGATE = re.compile("[\ud800-\udfff]")


def embedded(value: Any) -> Markup:
    """Return JSON that can stand in a script element: no character of it means anything to HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
    return Markup(_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def writable(text: str) -> str:
    """Return a text without halves of characters, which cannot be written as UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def policy(scripts: Iterable[str], styles: str) -> str:
    """Return the content security policy: these scripts, these styles, pictures in the file, and no request."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"

    allowed = " ".join(digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {digest(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
