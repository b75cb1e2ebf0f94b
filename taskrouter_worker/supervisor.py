"""A worker that may watch and change others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ._context import Attributes, check_attributes
from ._endpoints import check_bool
from ._requests import WorkspaceRoutes, check_sid, present
from .resources import WorkerFields
from .terms import Instruction, SidPrefix, SupervisorMode
from .worker import Worker
from .workspace import WorkerInfo

__all__ = ["Supervisor"]

_WORKER: Final = msgspec.json.Decoder(WorkerFields)
_IGNORED: Final = msgspec.json.Decoder(msgspec.Raw)


class Supervisor(Worker):
    """A worker whose token has the role `supervisor`. Everything of `Worker`, and three calls more."""

    __slots__ = ()

    async def monitor(
        self,
        task_sid: str,
        reservation_sid: str,
        *,
        mode: SupervisorMode | str = SupervisorMode.MONITOR,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Join the conference of another worker's reservation.

        Args:
            task_sid: the task.
            reservation_sid: its accepted reservation.
            mode: ``monitor`` listens, ``whisper`` is heard by the worker, ``barge`` by everybody.
            extra: further parameters under their wire names; those of this call win.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(task_sid, "task_sid", SidPrefix.TASK)
        check_sid(reservation_sid, "reservation_sid", SidPrefix.RESERVATION)
        if mode not in list(SupervisorMode):
            raise ValueError(f"mode must be one of {', '.join(SupervisorMode)}, got {mode!r}")
        if extra is not None and not isinstance(extra, Mapping):
            raise TypeError(f"extra must be a dict, got {type(extra).__name__}: {extra!r}")
        params = {
            **(extra or {}),
            "Instruction": Instruction.SUPERVISE.value,
            "Supervisor": self._context.routes.worker_sid,
            "SupervisorMode": str(mode),
        }
        await self._context.fetch(self._workspace.supervise(task_sid, reservation_sid, params), _IGNORED)

    async def set_worker_attributes(
        self, worker_sid: str, attributes: Attributes, *, version: str | None = None
    ) -> WorkerInfo:
        """Replace another worker's attributes (no merge) and return that worker.

        Args:
            worker_sid: the other worker.
            attributes: its new attributes.
            version: the version of that worker that this was decided on; the service refuses a stale one.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(worker_sid, "worker_sid", SidPrefix.WORKER)
        return await self._change(worker_sid, {"Attributes": check_attributes(attributes)}, version)

    async def set_worker_activity(
        self,
        worker_sid: str,
        activity_sid: str,
        *,
        reject_pending_reservations: bool | None = None,
        version: str | None = None,
    ) -> WorkerInfo:
        """Move another worker to an activity and return that worker.

        Args:
            worker_sid: the other worker.
            activity_sid: where to.
            reject_pending_reservations: reject what it has not accepted yet.
            version: as in `set_worker_attributes`.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(worker_sid, "worker_sid", SidPrefix.WORKER)
        check_sid(activity_sid, "activity_sid", SidPrefix.ACTIVITY)
        if reject_pending_reservations is not None:
            check_bool("reject_pending_reservations", reject_pending_reservations)
        params = present(
            {"ActivitySid": activity_sid, "RejectPendingReservations": reject_pending_reservations}
        )
        return await self._change(worker_sid, params, version)

    async def _change(self, worker_sid: str, params: Mapping[str, object], version: str | None) -> WorkerInfo:
        # The JavaScript SDK sends the supervisor's own version here, which says nothing about the other.
        if version is not None and not isinstance(version, str):
            raise TypeError(f"version must be a str, got {type(version).__name__}: {version!r}")
        if version is not None and not version.isdecimal():
            raise ValueError(f"version must be a worker's version such as '7', got {version!r}")
        request = self._workspace.update_worker(worker_sid, params, version)
        return WorkerInfo(await self._context.fetch(request, _WORKER))

    @property
    def _workspace(self) -> WorkspaceRoutes:
        return WorkspaceRoutes(self._context.routes.workspace_sid)
