"""Event names, handlers and options, as type checkers must accept and refuse them. Nobody runs this file.

Each `type: ignore` marks a line that both checkers refuse; `test_typing.py` takes the marks away and looks
whether they do.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import assert_type

from taskrouter_worker import (
    Channel,
    Disconnect,
    EventStream,
    OutgoingTransfer,
    Reservation,
    Supervisor,
    SyncSupervisor,
    SyncWorker,
    SyncWorkspace,
    SyncWorkspaceReader,
    Task,
    TaskInfo,
    TaskQueue,
    TaskRouterError,
    Worker,
    WorkerInfo,
    WorkerPool,
    WorkspaceReader,
)
from taskrouter_worker.sync import (
    BlockingStream,
    SyncActivity,
    SyncChannel,
    SyncOutgoingTransfer,
    SyncReservation,
    SyncTask,
)

# Handlers of the right kind


def nothing() -> None: ...


async def nothing_async() -> None: ...


def takes_worker(_: Worker) -> None: ...


async def takes_worker_async(_: Worker) -> None: ...


def takes_supervisor(_: Supervisor) -> None: ...


def takes_reservation(_: Reservation) -> None: ...


async def takes_reservation_async(_: Reservation) -> Reservation:
    raise NotImplementedError


def takes_task(_: Task) -> None: ...


def takes_channel(_: Channel) -> None: ...


def takes_outgoing(_: OutgoingTransfer) -> None: ...


def takes_disconnect(_: Disconnect) -> None: ...


def takes_error(_: TaskRouterError) -> None: ...


def takes_any_error(_: Exception) -> None: ...


def takes_payload(_: dict[str, object]) -> None: ...


def takes_two(_: Worker, __: Reservation) -> None: ...


def takes_sync_worker(_: SyncWorker) -> None: ...


def takes_sync_reservation(_: SyncReservation) -> None: ...


# Worker


async def of_worker(worker: Worker, supervisor: Supervisor) -> None:
    worker.on("ready", takes_worker)
    worker.on("ready", takes_worker_async)
    worker.once("activityUpdated", takes_worker)
    worker.on("attributesUpdated")(takes_worker)
    worker.on("reservationCreated", takes_reservation)
    worker.on("reservationCreated", takes_reservation_async)
    worker.on("reservationMissed", takes_reservation)
    worker.on("reservationFailed", takes_payload)
    worker.on("tokenExpired", nothing)
    worker.on("tokenUpdated", nothing_async)
    worker.on("disconnected", takes_disconnect)
    worker.on("error", takes_error)
    worker.on("error", takes_any_error)
    worker.on("reservationCreated", print)
    worker.remove_listener("ready", takes_worker)
    supervisor.on("ready", takes_supervisor)
    supervisor.on("ready", takes_worker)

    worker.on("Ready", takes_worker)  # type: ignore[call-overload]
    worker.on("reservation.created", takes_reservation)  # type: ignore[call-overload]
    worker.on("ready", takes_reservation)  # type: ignore[call-overload]
    worker.on("ready", takes_supervisor)  # type: ignore[call-overload]
    worker.on("reservationCreated", takes_worker)  # type: ignore[call-overload]
    worker.on("reservationCreated", nothing)  # type: ignore[call-overload]
    worker.on("reservationCreated", takes_two)  # type: ignore[call-overload]
    worker.on("tokenExpired", takes_worker)  # type: ignore[call-overload]
    worker.on("disconnected", takes_error)  # type: ignore[call-overload]
    worker.on("error", takes_disconnect)  # type: ignore[call-overload]
    worker.once("reservationFailed", takes_reservation)  # type: ignore[call-overload]
    worker.on("ready")(takes_reservation)  # type: ignore[arg-type]
    worker.on("ready", 5)  # type: ignore[call-overload]
    worker.remove_listener("Ready", takes_worker)  # type: ignore[arg-type]

    assert_type(await worker.wait_for("ready"), Worker)
    assert_type(await supervisor.wait_for("ready"), Supervisor)
    assert_type(await worker.wait_for("reservationCreated", timeout=1.5), Reservation)
    assert_type(await worker.wait_for("reservationFailed"), dict[str, object])
    assert_type(await worker.wait_for("disconnected"), Disconnect)
    assert_type(await worker.wait_for("error"), TaskRouterError)
    await worker.wait_for("ready", "disconnected")
    await worker.wait_for("Ready")  # type: ignore[call-overload]
    await worker.wait_for("ready", timeout="1")  # type: ignore[call-overload]

    assert_type(worker.stream("reservationCreated"), EventStream[Reservation])
    assert_type(worker.stream("disconnected", max_buffer=5, overflow="drop_oldest"), EventStream[Disconnect])
    worker.stream("Ready")  # type: ignore[call-overload]
    worker.stream("ready", overflow="drop")  # type: ignore[call-overload]
    worker.stream("ready", max_buffer="5")  # type: ignore[call-overload]


@Worker("token").on("reservationCreated")
async def decorated(reservation: Reservation) -> int:
    assert_type(reservation, Reservation)
    return 1


# Reservation, Task, Channel, OutgoingTransfer


async def of_the_others(
    reservation: Reservation, task: Task, channel: Channel, outgoing: OutgoingTransfer
) -> None:
    reservation.on("accepted", takes_reservation)
    reservation.once("ended")(takes_reservation_async)
    assert_type(await reservation.wait_for("completed", "canceled", timeout=3), Reservation)
    assert_type(reservation.stream("wrapup"), EventStream[Reservation])
    reservation.on("acepted", takes_reservation)  # type: ignore[call-overload]
    reservation.on("accepted", takes_task)  # type: ignore[call-overload]
    reservation.on("accepted", nothing)  # type: ignore[call-overload]
    await reservation.wait_for("acepted")  # type: ignore[arg-type]
    reservation.stream("acepted")  # type: ignore[arg-type]
    reservation.remove_listener("acepted", print)  # type: ignore[arg-type]

    task.on("updated", takes_task)
    task.on("transferInitiated", takes_outgoing)
    assert_type(await task.wait_for("completed"), Task)
    assert_type(await task.wait_for("transferInitiated"), OutgoingTransfer)
    assert_type(await task.wait_for("completed", "transferInitiated"), Task | OutgoingTransfer)
    assert_type(task.stream("updated"), EventStream[Task])
    task.on("accepted", takes_task)  # type: ignore[call-overload]
    task.on("updated", takes_outgoing)  # type: ignore[call-overload]
    task.on("transferInitiated", takes_task)  # type: ignore[call-overload]
    task.once("transferInitiated")(takes_task)  # type: ignore[arg-type]
    await task.wait_for("accepted")  # type: ignore[call-overload]

    channel.on("capacityUpdated", takes_channel)
    channel.on("capacity", takes_channel)  # type: ignore[call-overload]
    channel.on("availabilityUpdated", takes_task)  # type: ignore[call-overload]

    outgoing.on("attemptFailed", takes_outgoing)
    outgoing.on("initiated", takes_outgoing)  # type: ignore[call-overload]
    outgoing.on("failed", takes_reservation)  # type: ignore[call-overload]


# Options


async def of_options(reservation: Reservation, worker: Worker) -> None:
    await reservation.conference(beep="onEnter", max_participants=3, status_callback_event=["answered"])
    await reservation.conference(max_participants="3")  # type: ignore[arg-type]
    await reservation.reject(activitySid="WA1")  # type: ignore[call-arg]
    await reservation.accept(timeout=3)  # type: ignore[call-arg]
    await reservation.task.transfer("WK1", priority="high")  # type: ignore[arg-type]
    await reservation.task.wrap_up(5)  # type: ignore[arg-type]
    await worker.set_attributes(["no", "dict"])  # type: ignore[arg-type]
    await worker.drain(timeout="long")  # type: ignore[arg-type]
    Worker("token", reconnect_activity="stay")  # type: ignore[arg-type]
    Worker("token", proxy=False)  # type: ignore[arg-type]
    Worker("token", ebServer="http://127.0.0.1")  # type: ignore[call-arg]
    Worker(5)  # type: ignore[arg-type]


# The synchronous classes


def of_sync(worker: SyncWorker, supervisor: SyncSupervisor) -> None:
    worker.on("ready", takes_sync_worker)
    worker.on("reservationCreated", takes_sync_reservation)
    worker.on("tokenExpired", nothing)
    worker.on("reservationMade", takes_sync_reservation)  # type: ignore[call-overload]
    worker.on("ready", takes_worker)  # type: ignore[call-overload]
    worker.on("reservationCreated", takes_reservation)  # type: ignore[call-overload]
    supervisor.on("ready", takes_sync_worker)
    supervisor.monitor("WT1", "WR1", mode="whisper")
    supervisor.monitor("WT1")  # type: ignore[call-arg]

    reservation = worker.wait_for("reservationCreated", timeout=3)
    assert_type(reservation, SyncReservation)
    assert_type(reservation.accept(), SyncReservation)
    assert_type(reservation.task, SyncTask)
    assert_type(reservation.task.complete("done"), SyncTask)
    assert_type(reservation.task.transfer("WK1", mode="COLD"), SyncOutgoingTransfer)
    assert_type(reservation.wait_for("ended"), SyncReservation)
    assert_type(reservation.status, str)
    assert_type(worker.activities, dict[str, SyncActivity])
    assert_type(worker.channels, dict[str, SyncChannel])
    assert_type(worker.drain(timeout=3), list[SyncReservation])
    assert_type(worker.stream("reservationCreated"), BlockingStream[SyncReservation])
    assert_type(worker.submit(reservation.accept), Future[SyncReservation])
    assert_type(worker.submit(reservation.task.complete, "done"), Future[SyncTask])
    reservation.conference(beep="onEnter")
    for later in worker.stream("reservationCreated"):
        assert_type(later, SyncReservation)

    reservation.accept(5)  # type: ignore[call-arg]
    reservation.reject(activitySid="WA1")  # type: ignore[call-arg]
    reservation.conference(max_participants="3")  # type: ignore[arg-type]
    reservation.on("acepted", takes_sync_reservation)  # type: ignore[call-overload]
    reservation.task.complete(5)  # type: ignore[arg-type]
    worker.submit(reservation.accept())  # type: ignore[arg-type]
    worker.submit(reservation.task.complete, 5)  # type: ignore[arg-type]
    worker.submit(print)  # type: ignore[arg-type]
    SyncWorker("token", deliver=5)  # type: ignore[arg-type]
    SyncWorker("token", request_timeout="long")  # type: ignore[arg-type]
    SyncWorker("token", ebServer="http://127.0.0.1")  # type: ignore[call-arg]


# Workspaces


async def of_workspaces(worker: Worker, beside: SyncWorker, alone: SyncWorkspace) -> None:
    assert_type(worker.workspace, WorkspaceReader)
    assert_type(await worker.workspace.fetch_workers_info(limit=3), dict[str, WorkerInfo])
    assert_type(beside.workspace, SyncWorkspaceReader)
    assert_type(beside.workspace.fetch_workers(activity_name="Available"), dict[str, WorkerInfo])
    assert_type(beside.workspace.fetch_task_queue("WQ1"), TaskQueue)
    assert_type(
        beside.submit(beside.workspace.fetch_task_queues, worker_sid="WK1"), Future[dict[str, TaskQueue]]
    )
    assert_type(alone.fetch_worker_info("WK1"), WorkerInfo)
    assert_type(alone.submit(alone.fetch_task, "WT1"), Future[TaskInfo])

    alone.fetch_workers_info(ordering="Name:asc")  # type: ignore[arg-type]
    alone.fetch_task_queues(friendlyName="Cards")  # type: ignore[call-arg]
    alone.submit(alone.fetch_task)  # type: ignore[call-arg]
    SyncWorkspace("token", http_session=None)  # type: ignore[call-arg]


def of_ends(error: TaskRouterError) -> None:
    assert_type(error.ends_session, bool)


# The pool


def takes_worker_and_reservation(_: Worker, __: Reservation) -> None: ...


async def takes_worker_and_error(_: Worker, __: TaskRouterError) -> None: ...


def takes_worker_and_end(_: Worker, __: TaskRouterError | None) -> None: ...


def of_pool(pool: WorkerPool) -> None:
    pool.on("ready", takes_worker)
    pool.on("tokenExpired", takes_worker)
    pool.on("reservationCreated", takes_worker_and_reservation)
    pool.on("error", takes_worker_and_error)
    pool.on("error", takes_worker_and_end)
    pool.on("workerEnded", takes_worker_and_end)
    assert_type(pool.add("token", connect_activity_sid="WA1"), Worker)
    pool.on("workerended", takes_worker_and_end)  # type: ignore[call-overload]
    pool.on("reservationCreated", takes_reservation)  # type: ignore[call-overload]
    pool.on("workerEnded", takes_worker_and_error)  # type: ignore[call-overload]
    pool.on("tokenExpired", nothing)  # type: ignore[call-overload]
    pool.add("token", connectActivitySid="WA1")  # type: ignore[call-arg]
    WorkerPool(max_connections="many")  # type: ignore[arg-type]
    WorkerPool(reconnect_activity="stay")  # type: ignore[arg-type]
