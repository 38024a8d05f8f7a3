"""User names and passwords in addresses: kept apart from the configuration, and out of all that is shown."""

import os
import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from medscale.base.settings import with_sets

VARIABLE = "MEDSCALE_{section}_CREDENTIALS"
IN_ADDRESS = re.compile(r"(?<=://)[^\s/@\"']*(?:@[^\s/@\"']*)*@")


def take_credentials(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with endpoints that name no user and no password; these go into the environment.

    So none stands in a command line, a log or a record of Snakemake. A job reads them from there, see
    `with_credentials`.

    Args:
        config: the resolved configuration; it is not changed.
    """
    taken = dict(config)
    for section in ("model", "data"):
        credentials, endpoint = split_address(config[section]["endpoint"])
        if credentials:
            os.environ[VARIABLE.format(section=section.upper())] = credentials
            taken[section] = config[section] | {"endpoint": endpoint}

    def of_set(name: str, section: dict[str, Any]) -> dict[str, Any]:
        credentials, endpoint = split_address(section["endpoint"])
        if credentials:
            os.environ[VARIABLE.format(section=name.upper())] = credentials
        return section | {"endpoint": endpoint}

    return with_sets(taken, of_set)


def with_credentials(endpoint: str | None, section: str) -> str | None:
    """Return an endpoint with the user and the password that `take_credentials` took from it."""
    credentials = os.environ.get(VARIABLE.format(section=section.upper()))
    if not credentials or not endpoint or split_address(endpoint)[0]:
        return endpoint
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{credentials}@{rest}"


def split_address(address: str | None) -> tuple[str, str | None]:
    """Return user and password of an address, fit for one, and the address without them.

    >>> split_address("https://me:p@ss@mirror.example/hub")
    ('me:p%40ss', 'https://mirror.example/hub')
    """
    netloc = urlsplit(address or "").netloc
    credentials, at, host = netloc.rpartition("@")
    if not at:
        return "", address
    user, colon, password = credentials.partition(":")
    fit = f"{quote(unquote(user), safe='')}{colon}{quote(unquote(password), safe='')}"
    return fit, address.replace(f"{netloc}", host, 1)


def without_credentials(text: str) -> str:
    """Return a text in which every address has ``***`` in place of user and password."""
    return IN_ADDRESS.sub("***@", text)
