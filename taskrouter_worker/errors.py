"""What can go wrong, as types.

::

    TaskRouterError
    ├── TokenError                 the token cannot be used
    │   ├── InvalidTokenError      malformed, refused, or without the needed grant
    │   └── TokenProviderError     the application's own source of tokens failed
    ├── SignalingError             the websocket
    │   ├── ConnectionFailedError  it could not be opened
    │   ├── SessionDisplacedError  another session of the worker took its place
    │   └── InvalidMessageError    a frame that makes no sense
    ├── RequestError               one HTTP exchange with the event bridge
    │   ├── RequestInvalidError    4xx, and redirects: none is followed
    │   │   ├── AuthenticationError    401, 403
    │   │   ├── NotFoundError          404
    │   │   ├── VersionConflictError   412
    │   │   └── RateLimitedError       429
    │   ├── ServerError            5xx, or an answer that makes no sense
    │   ├── RequestTimeoutError    no answer in time: see `carried_out`
    │   ├── NetworkError           the exchange broke: see `carried_out`
    │   └── EndedOtherwiseError    the command came too late: the reservation or task had ended
    ├── NotConnectedError          a call that needs a session, before the first or after the last
    ├── EventImpossibleError       what is waited for has ended without it
    ├── StreamOverflowError        an event stream was read too slowly
    └── HandlerError               one of the application's own handlers raised

Wrong arguments raise `TypeError` or `ValueError` before any I/O. No text holds a token.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuthenticationError",
    "ConnectionFailedError",
    "EndedOtherwiseError",
    "EventImpossibleError",
    "HandlerError",
    "InvalidMessageError",
    "InvalidTokenError",
    "NetworkError",
    "NotConnectedError",
    "NotFoundError",
    "RateLimitedError",
    "RequestError",
    "RequestInvalidError",
    "RequestTimeoutError",
    "ServerError",
    "SessionDisplacedError",
    "SignalingError",
    "StreamOverflowError",
    "TaskRouterError",
    "TokenError",
    "TokenProviderError",
    "VersionConflictError",
]


class TaskRouterError(Exception):
    """Base of every error of this package.

    Attributes:
        ends_session: whether a worker's session has ended for good with it. Then it is the `error` event that
            tells so, and what `Worker.wait_closed` raises. False for all other errors, after which the
            session goes on by itself.
    """

    ends_session: bool = False

    def __reduce__(self) -> tuple[Any, ...]:  # Any: as pickle takes it
        # Exceptions are made anew from their positional arguments, which most of these need more than. Who
        # gets one from another process would not get that far: a pool of processes breaks over it.
        return _made_anew, (type(self), self.args), self._state()

    def _state(self) -> dict[str, object]:
        """The attributes that go along when it is copied or sent to another process."""
        return vars(self)

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed later without a change by the caller."""
        return False


def _made_anew(kind: type[TaskRouterError], args: tuple[object, ...]) -> TaskRouterError:
    return kind.__new__(kind, *args)


class TokenError(TaskRouterError):
    """The token cannot be used; give another one to `Worker.update_token`."""


class InvalidTokenError(TokenError):
    """The token is malformed, was refused, or lacks the grant that is needed."""


class TokenProviderError(TokenError):
    """The application's token provider raised, or returned no token or one that is about to end.

    Its exception is `__cause__`.
    """

    @property
    def retryable(self) -> bool:
        """Always: it is asked again."""
        return True


class SignalingError(TaskRouterError):
    """Something about the websocket session."""


class ConnectionFailedError(SignalingError):
    """The websocket could not be opened.

    Attributes:
        status: HTTP status of the refused handshake, None if there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def retryable(self) -> bool:
        """All but a refusal by status 401 or 403."""
        return self.status not in (401, 403)


class SessionDisplacedError(SignalingError):
    """Another session of this worker asked for the existing ones to be closed. It is not fought."""


class InvalidMessageError(SignalingError):
    """A frame could not be understood. It was skipped; the session resynchronises itself.

    Attributes:
        event_type: the frame's event type, None if even that could not be read.
    """

    def __init__(self, message: str, *, event_type: str | None = None) -> None:
        super().__init__(message)
        self.event_type = event_type


class RequestError(TaskRouterError):
    """One HTTP exchange failed.

    Attributes:
        method: the inner method, GET or POST.
        path: the inner path, such as ``Workspaces/WS.../Workers/WK...``.
        status: HTTP status, None if there was no answer.
        code: TaskRouter's error code from the answer, None if it had none.
        carried_out: False if a command was not carried out: the service refused it, or the SDK looked
            afterwards and nothing had happened. None if that is not known. `accept`, `reject`, `wrap`,
            `complete` and `wrap_up` look by themselves and return normally if it was.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        # 4xx says that nothing was done. 5xx says nothing: what failed may have failed afterwards, and a
        # proxy answers 502, 503 or 504 also for a service that it lost while it was at work.
        self.carried_out: bool | None = False if status is not None and 400 <= status < 500 else None


class RequestInvalidError(RequestError):
    """The request was refused (4xx) or redirected (3xx): repeating it unchanged will not help."""


class AuthenticationError(RequestInvalidError):
    """The token was refused (401) or does not allow this (403)."""


class NotFoundError(RequestInvalidError):
    """No such object (404): unknown, deleted, or purged some minutes after its end."""


class VersionConflictError(RequestInvalidError):
    """The object changed meanwhile (412): fetch its latest version, then decide again."""


class RateLimitedError(RequestInvalidError):
    """Too many requests (429).

    Attributes:
        retry_after: seconds to wait as the answer says, None if it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, method=method, path=path, status=status, code=code)
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Always, after `retry_after`."""
        return True


class ServerError(RequestError):
    """The service failed (5xx), or answered with something that is not its protocol."""

    @property
    def retryable(self) -> bool:
        """Always."""
        return True


class RequestTimeoutError(RequestError):
    """No complete answer in time. A command may have been carried out: see `carried_out`."""

    @property
    def retryable(self) -> bool:
        """Always, but only reads are safe to repeat blindly."""
        return True


class NetworkError(RequestError):
    """The exchange broke off. A command may have been carried out: see `carried_out`."""

    @property
    def retryable(self) -> bool:
        """Always, but only reads are safe to repeat blindly."""
        return True


class EndedOtherwiseError(RequestError):
    """The answer to a command did not come, and the reservation or task turned out to have ended.

    The failure of the exchange itself is `__cause__`.

    Attributes:
        sid: the reservation or task.
        outcome: how it ended, such as ``canceled``; ``unknown`` if the service no longer knows.
    """

    def __init__(self, message: str, *, method: str, path: str, sid: str, outcome: str) -> None:
        super().__init__(message, method=method, path=path)
        self.sid = sid
        self.outcome = outcome


class NotConnectedError(TaskRouterError):
    """The call needs to know the worker: enter ``async with worker`` first, and do not leave it."""


class EventImpossibleError(TaskRouterError):
    """What is waited for can never come: the reservation or transfer has ended."""


class StreamOverflowError(TaskRouterError):
    """More events came than an event stream may buffer. None of them was dropped silently."""


class HandlerError(TaskRouterError):
    """A handler of the application raised; its exception is `__cause__`.

    Attributes:
        event: the event it was called for.
        handler: the handler itself.
        source: the object that emitted the event. Of both a copy holds the text only: neither can be sent to
            another process.
    """

    def __init__(self, message: str, *, event: str, handler: object, source: object) -> None:
        super().__init__(message)
        self.event = event
        self.handler = handler
        self.source = source

    def _state(self) -> dict[str, object]:
        return {**vars(self), "handler": repr(self.handler), "source": repr(self.source)}
