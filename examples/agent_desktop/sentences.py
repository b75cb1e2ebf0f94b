"""What went wrong, as sentences: what happened, and what to do about it."""

from __future__ import annotations

from taskrouter_worker import (
    AuthenticationError,
    EndedOtherwiseError,
    HandlerError,
    InvalidTokenError,
    NetworkError,
    NotConnectedError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    RequestTimeoutError,
    ServerError,
    SessionDisplacedError,
    SignalingError,
    TokenProviderError,
    VersionConflictError,
)

from .login import ServiceRefusedError

__all__ = ["ending", "failed", "outcome"]


def failed(doing: str, error: BaseException) -> str:
    """Why a command failed.

    Args:
        doing: what it was, such as ``accept “Lost card”``.
        error: what it raised.
    """
    return f"Could not {doing}. {_reason(error)}"


def _reason(error: BaseException) -> str:
    match error:
        case EndedOtherwiseError(outcome="unknown") | NotFoundError():
            return "It is no longer there: somebody else has finished it, or it was canceled."
        case EndedOtherwiseError():
            return f"It had ended before: {error.outcome}. There is nothing left to do with it."
        case AuthenticationError(status=403):
            return "Your token does not allow it. Ask a supervisor, or log in with another token."
        case AuthenticationError() | InvalidTokenError():
            return "Your token was not accepted. Log out, and log in with a new one."
        case VersionConflictError():
            return "It changed at the same moment. Look at it again, then repeat."
        case RateLimitedError():
            return "TaskRouter asks for a pause. Wait a few seconds, then repeat."
        case RequestError(carried_out=False, status=None):
            return "The connection broke, and nothing was changed. You may repeat it."
        case RequestTimeoutError() | NetworkError():
            return "The connection broke. Look whether it happened before you repeat it."
        case ServerError():
            return "TaskRouter had a problem. Look whether it happened, then repeat."
        case RequestError(code=code, status=status):
            known = f"error {code}" if code else f"HTTP {status}"
            return f"TaskRouter refused it ({known}). Its state may have changed: look again."
        case NotConnectedError():
            return "You are not connected any more. Log in again."
        case TokenProviderError():
            return _of_provider(error)
        case HandlerError():
            return "This program made a mistake, please report it. The session goes on."
        case SignalingError():
            return "The connection had a problem. It is being repaired; wait a moment."
        case TimeoutError():
            return "There was no answer in time. Look whether it happened before you repeat it."
        case ValueError() | TypeError():
            return f"{str(error)[:1].upper()}{str(error)[1:]}."
        case _:
            return f"Something unexpected happened ({type(error).__name__}). Try again."


def ending(error: BaseException) -> str:
    """Why the session has ended for good, and how to go on."""
    match error:
        case ServiceRefusedError():
            return str(error)
        case SessionDisplacedError():
            return (
                "You have logged in somewhere else, and this window was told to end. "
                "Log in again to go on working here."
            )
        case InvalidTokenError() if "for worker" in str(error):
            return "That token belongs to another worker. Log in with it as a new session."
        case InvalidTokenError():
            return (
                "Your token was not accepted. It may be for another account or server, or incomplete: "
                "get a new one and log in again."
            )
        case SignalingError():
            return (
                "The server answers, but not as TaskRouter does. Check its address and that the token "
                "belongs to it."
            )
        case _:
            return f"The session has ended ({type(error).__name__}). Log in again."


def trouble(error: BaseException) -> str:
    """What an `error` event says; the session goes on by itself."""
    if isinstance(error, TokenProviderError):
        return _of_provider(error)
    return _reason(error)


def _of_provider(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, ServiceRefusedError):
        return str(cause)
    if isinstance(cause, ConnectionError):
        return f"No new token yet: {cause}. It is asked again by itself; check your network if it goes on."
    return "The sign-in service gave something that is no token. Ask whoever runs it."


def outcome(title: str, how: str) -> str | None:
    """What became of an offer or task that ended without the agent's doing; None if that is no news."""
    match how:
        case "timeout":
            return f"“{title}” was not answered in time. It is offered to somebody else."
        case "rescinded":
            return f"“{title}” was taken by somebody else."
        case "canceled":
            return f"“{title}” was canceled."
        case "unknown":
            return f"“{title}” ended while you were disconnected."
        case _:
            return None
