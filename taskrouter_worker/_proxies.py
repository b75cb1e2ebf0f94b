"""The environment's proxies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Proxies"]

REMEMBERED_SECONDS: Final = 1.0


class Proxies:
    """What the environment, or the system's settings, name as proxies.

    Asking walks through the whole environment, twice. Workers that start together ask once, and a
    reconnect asks again: a laptop may be in another network by then.
    """

    __slots__ = ("_asked_at", "_found", "_now")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked_at = -float("inf")
        self._found: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        """By scheme."""
        from urllib.request import getproxies  # noqa: PLC0415 - it loads an HTTP client of its own

        now = self._now()
        if now - self._asked_at > REMEMBERED_SECONDS:
            self._found, self._asked_at = getproxies(), now
        return self._found

    def for_url(self, url: str) -> str | None:
        """The proxy for `url`, None for none.

        aiohttp's own way asks for each request, in a thread, and reads ~/.netrc too, whose credentials
        have no business in requests that carry a token.
        """
        from urllib.request import proxy_bypass  # noqa: PLC0415 - the same

        parts = urlsplit(url)
        proxy = self.all().get(parts.scheme)
        if proxy is None or proxy_bypass(parts.netloc):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def for_websocket(self, url: str) -> str | None:
        """The proxy that websockets takes for `url`, None for none: that library has an order of its own."""
        from urllib.request import proxy_bypass  # noqa: PLC0415 - the same

        parts = urlsplit(url)
        found, secure = self.all(), parts.scheme == "wss"
        if not found or proxy_bypass(f"{parts.hostname}:{parts.port or (443 if secure else 80)}"):
            return None
        schemes = ("wss", "socks", "https") if secure else ("ws", "socks", "https", "http")
        return next((found[scheme] for scheme in schemes if scheme in found), None)
