"""The proxies of the environment, made the same to both clients: which one an address goes through, or none.

The clients read the variables differently: one refuses ``socks://``, another a password with an ``@``; each understands
other entries of NO_PROXY. So the values are read here, and written back in the form that both take alike. Addresses of
this machine go through no proxy.
"""

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import quote, unquote, urlsplit

from medscale.base.errors import UserError

SCHEMES = ("https", "http", "all")
KINDS = {"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5h", "socks": "socks5h"}
"""What a proxy's address may begin with, and what the clients are told; desktops write ``socks`` for SOCKS 5."""
SOCKS = {"huggingface": ("socksio", "socksio"), "modelscope": ("socks", "PySocks")}
"""What a client needs for SOCKS: the module, and the package that has it."""
SOCKS_PORT = 1080
OWN = ("localhost", "127.0.0.0/8", "::1")
PATTERN = "http://user:password@host:port, or socks5h://host:port"
HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|[0-9a-f:.]*:[0-9a-f:.]*")
REFUSED = re.compile(
    r"407 proxy|HTTP 407|proxy authentication|SOCKS5 authentication|username/password|no acceptable methods",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Proxy:
    """A proxy: the variable that names it, its address with user name and password, and the same to be shown."""

    variable: str
    url: str
    shown: str


def settle_proxies(source: str, endpoint: str | None) -> None:
    """Write the proxies of the environment back in the form that every client reads alike.

    Args:
        source: whose client will be used.
        endpoint: address of the hub; None where it is the client's own.

    Raises:
        UserError: a variable holds no proxy's address, or one that needs a package which is not installed.
    """
    proxies = {scheme: proxy for scheme in SCHEMES if (proxy := _proxy(scheme)) is not None}
    if not proxies:
        return
    module, package = SOCKS[source]
    for scheme, proxy in proxies.items():
        if proxy.url.startswith("socks") and find_spec(module) is None:
            if scheme == "all" and {"http", "https"} <= proxies.keys():  # which nothing goes through
                for spelled in ("all_proxy", "ALL_PROXY"):
                    os.environ.pop(spelled, None)
                continue
            raise UserError(
                "F117", f"{proxy.variable} = {proxy.shown}: a SOCKS proxy needs {package}; pip install {package}"
            )
        _write(f"{scheme}_proxy", proxy.url)
    entries = _entries()
    plain = [_plain(entry) for entry in entries]
    if endpoint and (host := urlsplit(endpoint).hostname) and _bypassed(endpoint, entries):
        plain.append(host)
    _write("no_proxy", ",".join(dict.fromkeys([*OWN, *plain])))


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that a request to ``url`` goes through; None where it goes straight."""
    if _bypassed(url, [*OWN, *_entries()]):
        return None
    return _proxy(urlsplit(url).scheme) or _proxy("all")


def is_refusal(error: BaseException) -> bool:
    """Say whether an error is that of a proxy which does not take the user name and password."""
    while error is not None:
        if REFUSED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _variable(name: str) -> str | None:
    """Return the spelling under which a variable is set: small letters go before capitals, also if empty."""
    return next((spelled for spelled in (name, name.upper()) if spelled in os.environ), None)


def _write(name: str, value: str) -> None:
    for spelled in (name, name.upper()):
        if spelled in os.environ:
            os.environ[spelled] = value
    if _variable(name) is None:
        os.environ[name] = value


def _proxy(scheme: str) -> Proxy | None:
    variable = _variable(f"{scheme}_proxy")
    value = os.environ[variable].strip() if variable else ""
    return _read(variable, value) if value else None


def _read(variable: str, value: str) -> Proxy:
    """Read an address; of several ``@``, the last one ends the password, whatever characters that has."""
    kind, found, rest = value.partition("://")
    kind, rest = (kind.lower(), rest) if found else ("http", value)
    credentials, at, place = rest.rpartition("@")
    place = re.split(r"[/?#]", place, maxsplit=1)[0]
    shown = f"{kind}://{'***@' if at else ''}{place}"

    def wrong(why: str) -> UserError:
        return UserError("F118", f"{variable} = {shown}: {why}; write it as {PATTERN}, or unset it")

    if kind not in KINDS:
        raise wrong(f"{kind} is no kind of proxy that is known here")
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise wrong("the host or the port is none") from error
    if not host or not HOST.fullmatch(host) or port == 0 or place.endswith(":"):
        raise wrong("the host or the port is none")
    if port is None and KINDS[kind].startswith("socks"):
        place = f"{place}:{SOCKS_PORT}"
    user, _, password = credentials.partition(":")
    login = ":".join(quote(unquote(part), safe="") for part in ((user, password) if password else (user,)))
    return Proxy(variable, f"{KINDS[kind]}://{login}@{place}" if at else f"{KINDS[kind]}://{place}", shown)


def _entries() -> list[str]:
    variable = _variable("no_proxy")
    return [entry for entry in re.split(r"[\s,;]+", os.environ[variable].lower()) if entry] if variable else []


def _plain(entry: str) -> str:
    """Return an entry as both clients read it: a domain without dot or star, an IPv6 address without brackets."""
    entry = entry.partition("://")[2].rstrip("/") if "://" in entry else entry
    if entry.startswith("[") and entry.endswith("]"):
        return entry[1:-1]
    return entry if entry == "*" else entry.removeprefix("*").removeprefix(".")


def _bypassed(url: str, entries: list[str]) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return any(_matches(entry, host, port) for entry in map(_plain, entries))


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    address, network = _address(host), _network(entry)
    if network is not None:
        return address is not None and address in network
    name, _, wanted = entry.rpartition(":")
    if not (name and wanted.isdigit()):
        name, wanted = entry, ""
    if wanted and int(wanted) != port:
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def passwords() -> Iterator[str]:
    """Yield what of the proxies' addresses must not be shown, as it was typed and as it is sent."""
    for name in (spelled for scheme in SCHEMES for spelled in (f"{scheme}_proxy", f"{scheme}_PROXY".upper())):
        before, scheme, rest = os.environ.get(name, "").partition("://")
        credentials = (rest if scheme else before).rpartition("@")[0]
        password = credentials.partition(":")[2]
        if password:
            yield from {password, unquote(password), quote(unquote(password), safe="")}
