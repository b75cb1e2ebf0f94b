"""What can go wrong, as types.

::

    TaskRouterError
    ├── TokenError                 the token cannot be used
    │   ├── InvalidTokenError      malformed, refused, or without the needed grant
    │   └── TokenExpiredError      it was good once
    ├── SignalingError             the websocket
    │   ├── ConnectionFailedError  it could not be opened
    │   ├── ConnectionLostError    it ended
    │   ├── SessionDisplacedError  another session of the worker took its place
    │   └── InvalidMessageError    a frame that makes no sense
    ├── RequestError               one HTTP exchange with the event bridge
    │   ├── RequestInvalidError    4xx, and redirects: none is followed
    │   │   ├── AuthenticationError    401, 403
    │   │   ├── NotFoundError          404
    │   │   ├── VersionConflictError   412
    │   │   └── RateLimitedError       429
    │   ├── ServerError            5xx, or an answer that makes no sense
    │   ├── RequestTimeoutError    no answer in time: the command may have been carried out
    │   └── NetworkError           the exchange broke: the command may have been carried out
    ├── NotConnectedError          a call that needs a session, before the first or after the last
    ├── StreamOverflowError        an event stream was read too slowly
    └── HandlerError               one of the application's own handlers raised

Wrong arguments raise `TypeError` or `ValueError` before any I/O. No text holds a token.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "ConnectionFailedError",
    "ConnectionLostError",
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
    "TokenExpiredError",
    "VersionConflictError",
]


class TaskRouterError(Exception):
    """Base of every error of this package."""

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed later without a change by the caller."""
        return False


class TokenError(TaskRouterError):
    """The token cannot be used; give another one to `Worker.update_token`."""


class InvalidTokenError(TokenError):
    """The token is malformed, was refused, or lacks the grant that is needed."""


class TokenExpiredError(TokenError):
    """The token's lifetime is over."""


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


class ConnectionLostError(SignalingError):
    """The websocket ended, or fell silent.

    Attributes:
        code: the close code, None if there was none.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def retryable(self) -> bool:
        """Always."""
        return True


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
    """No complete answer in time. A command may or may not have been carried out."""

    @property
    def retryable(self) -> bool:
        """Always, but only reads are safe to repeat blindly."""
        return True


class NetworkError(RequestError):
    """The exchange broke off. A command may or may not have been carried out."""

    @property
    def retryable(self) -> bool:
        """Always, but only reads are safe to repeat blindly."""
        return True


class NotConnectedError(TaskRouterError):
    """The call needs to know the worker: enter ``async with worker`` first, and do not leave it."""


class StreamOverflowError(TaskRouterError):
    """More events came than an event stream may buffer. None of them was dropped silently."""


class HandlerError(TaskRouterError):
    """A handler of the application raised; its exception is `__cause__`.

    Attributes:
        event: the event it was called for.
        handler: the handler itself.
        source: the object that emitted the event.
    """

    def __init__(self, message: str, *, event: str, handler: object, source: object) -> None:
        super().__init__(message)
        self.event = event
        self.handler = handler
        self.source = source
