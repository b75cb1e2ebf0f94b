"""Why a command was refused. Each error knows its HTTP status and TaskRouter's error code.

DomainError
├── InvalidArgument      400  20001   a parameter's value (other codes: 21481, 40153)
├── IllegalTransition    400  20001   the object is in a state that forbids it (another code: 40151)
├── Forbidden            403  20006   the caller may not do this
├── NotFound             404  20404   unknown, deleted or purged
├── Rescinded            410  20001   accept of a reservation that another worker won
└── VersionConflict      412  20412   If-Match names another version than the present one

A refused command has changed nothing.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DomainError",
    "Forbidden",
    "IllegalTransition",
    "InvalidArgument",
    "NotFound",
    "Rescinded",
    "VersionConflict",
]


class DomainError(Exception):
    """Base of every refusal. `str(error)` is the message that the client sees."""

    status: ClassVar[int] = 400
    code: int = 20001
    log_code: int | None = None
    """The code under which TaskRouter logs it where no client can be told, as after a callback's answer."""


class InvalidArgument(DomainError):
    """A parameter is missing or out of its range; the message names it and its value."""

    def __init__(self, message: str, *, code: int = 20001, log_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.log_code = log_code


class IllegalTransition(DomainError):
    """The object's present state forbids the change."""

    def __init__(self, message: str, *, code: int = 20001, log_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.log_code = log_code


class Forbidden(DomainError):
    """The caller is known but may not touch this."""

    status = 403
    code = 20006


class NotFound(DomainError):
    """No such object. `kind` is the REST collection's name, such as ``Workers``."""

    status = 404
    code = 20404

    def __init__(self, kind: str, sid: str) -> None:
        super().__init__(f"The requested resource /{kind}/{sid} was not found")
        self.kind = kind
        self.sid = sid


class Rescinded(DomainError):
    """Another worker accepted the task first (REST API: status 410)."""

    status = 410


class VersionConflict(DomainError):
    """The caller acted on a version that is no longer the current one."""

    status = 412
    code = 20412

    def __init__(self, sid: str, *, given: int, current: int) -> None:
        super().__init__(
            f"The version {given} supplied for {sid} is not the current version {current}: "
            "fetch it again and retry"
        )
