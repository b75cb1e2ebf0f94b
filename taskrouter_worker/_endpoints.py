"""Checks of the options that several classes take, and where the event bridge is."""

from __future__ import annotations

import re
import ssl
import warnings
from typing import Final
from urllib.parse import urlsplit

__all__ = [
    "check_bool",
    "check_connection_options",
    "check_int",
    "check_seconds",
    "check_wait",
    "event_bridge_urls",
    "shown_url",
    "warn_retired_edge",
]

_DEFAULT_REGION: Final = "us1"
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")


def check_bool(name: str, value: object) -> None:
    """Refuse what is not a bool with TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, got {type(value).__name__}: {value!r}")


def _check_url(name: str, value: object, schemes: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}: {value!r}")
    try:
        parts = urlsplit(value)
        right = parts.scheme in schemes and parts.hostname and not parts.fragment and parts.port != 0
    except ValueError:  # a port or an address that is none
        right = False
    if not right:
        raise ValueError(f"{name} must be a URL with {' or '.join(schemes)}, got {shown_url(value)!r}")
    return value


def shown_url(url: str) -> str:
    """A URL as an error may show it: no query, no credentials."""
    url, _, query = url.partition("?")
    if "@" in query:  # the question mark may be one of a password: then some of that is on either side
        return "***"
    try:
        parts = urlsplit(url)
        is_one = bool(parts.scheme and parts.hostname and parts.port != 0)
    except ValueError:  # a port or an address that is none
        is_one = False
    # In what is no URL, all before an @ may be credentials: without a scheme, or with a slash in them.
    before = "//[^/]*@" if is_one else ".*@"
    return re.sub(before, "//***@" if is_one else "***@", url, flags=re.DOTALL)


def event_bridge_urls(region: object, eb_server: object, ws_server: object) -> tuple[str, str]:
    """The HTTP and the websocket URL. Twilio's own unless given (event bridge, as the JavaScript SDK)."""
    if region is not None and not isinstance(region, str):
        raise TypeError(f"region must be a str, got {type(region).__name__}: {region!r}")
    host = "event-bridge.twilio.com"
    if region and region != _DEFAULT_REGION:
        if not _REGION.fullmatch(region):
            raise ValueError(f"region must be letters, digits and hyphens such as 'ie1', got {region!r}")
        host = f"event-bridge.{region}.twilio.com"
    return (
        f"https://{host}/v1/wschannels"
        if eb_server is None
        else _check_url("eb_server", eb_server, ("https", "http")),
        f"wss://{host}/v1/wschannels"
        if ws_server is None
        else _check_url("ws_server", ws_server, ("wss", "ws")),
    )


def warn_retired_edge(edge: object, *, stacklevel: int = 3) -> None:
    """Say that an edge does nothing (Twilio retired them)."""
    if edge is None:
        return
    if not isinstance(edge, str):
        raise TypeError(f"edge must be a str, got {type(edge).__name__}: {edge!r}")
    warnings.warn(
        "edge has no effect: Twilio retired edges; use region", DeprecationWarning, stacklevel=stacklevel
    )


def check_int(name: str, value: object, lowest: int, highest: int | None = None) -> None:
    """Refuse what is not an int within the bounds.

    Raises:
        TypeError: not an int.
        ValueError: out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}: {value!r}")
    if value < lowest or (highest is not None and value > highest):
        bounds = f"{lowest} or more" if highest is None else f"{lowest} to {highest}"
        raise ValueError(f"{name} must be {bounds}, got {value}")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is not a positive number of seconds.

    Raises:
        TypeError: not a number.
        ValueError: not positive.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not value > 0:
        raise ValueError(f"{name} must be more than 0 seconds, got {value!r}")


def check_wait(name: str, value: object) -> None:
    """Refuse what is no number of seconds to wait, 0 included.

    Raises:
        TypeError: not a number.
        ValueError: negative.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, got {value!r}")


def check_connection_options(ssl_context: object, proxy: object) -> None:
    """Refuse an SSL context or a proxy of the wrong kind.

    Raises:
        TypeError, ValueError: which one, and why.
    """
    if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, got {type(ssl_context).__name__}")
    if proxy is not None and proxy is not True:
        # No SOCKS: aiohttp does not speak it.
        _check_url("proxy", proxy, ("http", "https"))
