"""The token in force: how long it lives, what replaces it, and who waits for that."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import anyio

from ._flags import Flag, asked_to_end
from ._token import Token
from .clock import Clock
from .errors import NotConnectedError, TaskRouterError, TokenProviderError

__all__ = ["TokenEvents", "TokenKeeper", "TokenProvider"]

logger = logging.getLogger(__name__)

EXPIRY_MARGIN: Final = 5.0
"""`tokenExpired` comes this many seconds before the token's end, as in the JavaScript SDK."""

REFRESH_SHARE: Final = (0.7, 0.8)
"""A provider is asked after this share of a token's life, at random between: workers spread out."""

RETRY_SECONDS: Final = (1.0, 30.0)
"""Between two tries of a failing provider: at first, and at most."""

TokenProvider = Callable[[], str | Awaitable[str]]


class TokenEvents(Protocol):
    """What the keeper tells."""

    def token_expired(self) -> None:
        """The token's life is about to end, or has ended."""
        ...

    def token_updated(self) -> None:
        """The provider's new token is in force."""
        ...

    def failed(self, error: TaskRouterError) -> None:
        """The provider failed; it is asked again."""
        ...


class TokenKeeper:
    """Keeps one worker's token.

    Lifetimes are measured on the monotonic clock, from what the server tells at `init`: a wrong wall
    clock here changes nothing.

    Args:
        token: the first one, None where the provider makes it.
        provider: makes the next one, None if the application gives it.
        clock: wall-clock time, until the server has told its own.
    """

    def __init__(self, token: Token | None, provider: TokenProvider | None, clock: Clock) -> None:
        self._token = token
        self._provider = provider
        self._clock = clock
        self.events: TokenEvents | None = None
        self.expired = False
        self._changed = Flag()  # replaced at each new token
        self._lifetime: float | None = None  # seconds, as the last `init` told
        self._server_skew: float | None = None  # the server's epoch minus the loop's time
        self._expiry: asyncio.TimerHandle | None = None
        self._refresh_at: float | None = None  # loop time
        self._rescheduled = asyncio.Event()
        self._asking = asyncio.Lock()
        self._closed = False

    @property
    def token(self) -> Token:
        """The token in force.

        Raises:
            NotConnectedError: the provider has not made one yet.
        """
        if self._token is None:
            raise NotConnectedError("there is no token yet: enter `async with worker` first")
        return self._token

    @property
    def has_one(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    @property
    def refreshes(self) -> bool:
        """Whether a provider makes the next token."""
        return self._provider is not None

    def is_current(self, token: Token) -> bool:
        """Whether that one is still in force."""
        return token is self._token

    def update(self, token: Token) -> None:
        """Use another one from now on."""
        self._token = token
        self.expired = False
        if self._measures:
            self._arm(self._life_of(token))
        changed, self._changed = self._changed, Flag()
        changed.set()

    def learned(self, token: Token, lifetime: float | None) -> None:
        """`init` told how many seconds `token` has to live."""
        self._lifetime = lifetime
        if lifetime is not None and token.expires_at is not None:
            self._server_skew = token.expires_at - lifetime - asyncio.get_running_loop().time()
        self._arm(lifetime if self.is_current(token) else self._life_of(self.token))

    def ran_out(self) -> None:
        """The token's life is over, or as good as."""
        self._disarm()
        if not self.expired:
            self.expired = True
            if self._provider is None:
                logger.warning("the token expires: give a new one to update_token()")
            if self.events is not None:
                self.events.token_expired()
        self._reschedule()  # the service may have ended it long before its time

    def server_now(self) -> float:
        """What the server's clock shows, in epoch seconds; our own where it never told."""
        if self._server_skew is not None:
            return self._server_skew + asyncio.get_running_loop().time()
        return self._clock.now()

    @property
    def change(self) -> Flag:
        """Set at the next token. Take it before looking at the present one: then none is missed."""
        return self._changed

    async def changed(self) -> None:
        """Wait for the next token."""
        await self._changed.wait()

    async def first(self) -> Token:
        """The token in force; the provider is asked if there is none yet.

        Raises:
            TokenProviderError: the provider failed.
        """
        if self._token is None and self._provider is not None:
            async with self._asking:
                if self._token is None:
                    await self._ask(self._provider)
        return self.token

    async def replace(self, refused: Token) -> bool:
        """Get another token than `refused`, which the service did not take; False if nobody makes one.

        Whoever asks at the same time gets the same one.

        Raises:
            TokenProviderError: the provider failed.
        """
        if self._provider is None:
            return not self.is_current(refused)
        async with self._asking:
            if self.is_current(refused):
                await self._ask(self._provider)
        return True

    async def run(self) -> None:
        """Ask the provider for each next token in time. Runs as long as the worker does."""
        provider = self._provider
        if provider is None:
            return
        failures = 0
        while True:
            if self._token is not None and not self.expired and not failures:
                await self._due()
            try:
                async with self._asking:
                    if self._token is None or self.expired or failures or self._is_due():
                        await self._ask(provider)
                failures = 0
            except TokenProviderError as error:
                if self.events is not None:
                    self.events.failed(error)
                first, longest = RETRY_SECONDS
                # Bounded before it is a float: a provider may be out of order for days.
                delay = min(longest, first * 2 ** min(failures, 10)) * random.uniform(0.5, 1)  # noqa: S311 - spreads load
                failures += 1
                logger.info("the token provider is asked again in %.1f s", delay)
                await anyio.sleep(delay)

    def close(self) -> None:
        """Set no timer any more, and tell nothing."""
        self._closed = True
        self.events = None
        self._disarm()

    async def _ask(self, provider: TokenProvider) -> None:
        try:
            made = provider()
            text = await made if inspect.isawaitable(made) else made
            token = Token.parse(text, "the token provider's answer")
        except asyncio.CancelledError as error:
            if asked_to_end():
                raise
            # It waited for something that somebody else canceled, such as a request that several share.
            raise TokenProviderError("the token provider was canceled") from error
        except Exception as error:
            raise TokenProviderError(f"the token provider raised {type(error).__name__}") from error
        life = self._life_of(token) if self._measures else None
        if life is not None and life <= EXPIRY_MARGIN:
            # Asking again at once might bring the same one, for ever and as fast as the machine can.
            raise TokenProviderError(
                f"the token provider's token has {max(life, 0):.0f} s to live: make one that lives longer"
            )
        self.update(token)
        if self.events is not None:
            self.events.token_updated()

    async def _due(self) -> None:
        """Wait until it is time for the next token, however often that moves meanwhile."""
        while not self._is_due() and not self.expired:
            rescheduled = self._rescheduled
            wait = None if self._refresh_at is None else self._refresh_at - asyncio.get_running_loop().time()
            with anyio.move_on_after(wait):
                await rescheduled.wait()

    def _is_due(self) -> bool:
        return self._refresh_at is not None and asyncio.get_running_loop().time() >= self._refresh_at

    @property
    def _measures(self) -> bool:
        """Whether anything is known to measure a lifetime against: not before the first `init`."""
        return self._lifetime is not None or self._server_skew is not None

    def _life_of(self, token: Token) -> float | None:
        """Seconds that a token given now has to live."""
        if token.expires_at is None:
            # As long as the last one, which says nothing if that one was met at its end: `init` will tell.
            return self._lifetime if self._lifetime is not None and self._lifetime > EXPIRY_MARGIN else None
        return token.expires_at - self.server_now()

    def _arm(self, lifetime: float | None) -> None:
        self._disarm()
        if lifetime is not None and not self._closed:
            loop = asyncio.get_running_loop()
            usable = max(0.0, lifetime - EXPIRY_MARGIN)
            self._expiry = loop.call_later(usable, self.ran_out)
            # Not sooner than a failing provider: one that returns the same token would be asked ever faster.
            wait = max(RETRY_SECONDS[0], usable * random.uniform(*REFRESH_SHARE))  # noqa: S311 - spreads load
            self._refresh_at = loop.time() + wait
        self._reschedule()

    def _reschedule(self) -> None:
        rescheduled, self._rescheduled = self._rescheduled, asyncio.Event()
        rescheduled.set()

    def _disarm(self) -> None:
        self._refresh_at = None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
