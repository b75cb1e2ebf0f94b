"""How a test wants its workspace: the marker `taskrouter`, checked."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, Self

from taskrouter_worker.terms import WorkspaceTemplate

__all__ = ["WorkspaceOptions", "as_timestamp", "seed_of"]


LATEST: Final = 1e11
"""The end of a clock's time, in epoch seconds: a little later no date can be written."""


def seed_of(name: str) -> int:
    """A seed of 32 bits that follows from a test's name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def as_timestamp(moment: object, name: str) -> float:
    """A moment in epoch seconds, from a datetime with its zone or from a number of epoch seconds.

    Raises:
        TypeError: it is something else.
        ValueError: the datetime has no zone, or the number is no moment.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{name} needs a time zone, such as datetime(..., tzinfo=UTC), got {moment!r}")
        return moment.timestamp()
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        if not (math.isfinite(moment) and 0 <= moment < LATEST):
            raise ValueError(f"{name} must be epoch seconds, got {moment!r}")
        return float(moment)
    raise TypeError(f"{name} must be a datetime or epoch seconds, got {moment!r}")


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions:
    """How a workspace for a test is set up.

    Attributes:
        seed: its SIDs follow from it, from 0. None: other ones each time.
        clock: ``virtual`` stands still until it is advanced, ``real`` is the system's.
        start: what a virtual clock shows at first: a datetime with its zone, epoch seconds, or ``now``, the
            present second. Give a moment where dates shall be the same in each run.
        template: ``FIFO`` with a queue and a workflow that leads every task to it, ``NONE`` without.
        multi_task_enabled: False makes a legacy workspace: one reservation per worker.
        allow_errors: whether `error` events of the SDK's workers may be left when the test ends.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is none of those that are possible.
    """

    seed: int | None = None
    clock: Literal["virtual", "real"] = "virtual"
    start: datetime | float | Literal["now"] = "now"
    template: WorkspaceTemplate | Literal["FIFO", "NONE"] = WorkspaceTemplate.FIFO
    multi_task_enabled: bool = True
    allow_errors: bool = False

    def __post_init__(self) -> None:
        if self.seed is not None:
            if isinstance(self.seed, bool) or not isinstance(self.seed, int):
                raise TypeError(f"seed must be a whole number, got {self.seed!r}")
            if self.seed < 0:
                raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.clock not in ("virtual", "real"):
            raise ValueError(f"clock must be 'virtual' or 'real', got {self.clock!r}")
        if self.start != "now":
            if isinstance(self.start, str):
                raise ValueError(f"start must be a datetime, epoch seconds or 'now', got {self.start!r}")
            as_timestamp(self.start, "start")
        if self.clock == "real" and self.start != "now":
            raise ValueError("start belongs to a virtual clock: leave it out with clock='real'")
        if self.template not in tuple(WorkspaceTemplate):
            allowed = ", ".join(repr(str(one)) for one in WorkspaceTemplate)
            raise ValueError(f"template must be one of {allowed}, got {self.template!r}")
        for name in ("multi_task_enabled", "allow_errors"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, got {value!r}")

    @classmethod
    def from_arguments(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Self:
        """The options that a marker was given.

        Raises:
            TypeError, ValueError: as for the class; or there is no such option.
        """
        names = [field.name for field in fields(cls)]
        if args:
            raise TypeError(f"options are given by name, such as clock='real', got {args[0]!r}")
        for name in kwargs:
            if name not in names:
                raise TypeError(f"there is no option {name!r}; there are {', '.join(names)}")
        return cls(**kwargs)

    @property
    def starts_at(self) -> float:
        """What the clock shows at first, in epoch seconds."""
        if self.clock == "real":
            return time.time()
        return float(int(time.time())) if self.start == "now" else as_timestamp(self.start, "start")
