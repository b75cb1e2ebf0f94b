"""Outgoing transfers that begin or end while there is no connection, against a peer in memory."""

from __future__ import annotations

from taskrouter_worker import OutgoingTransfer, Reservation, Worker
from tests.sdk.peer import Peer, virtual_worker
from tests.sdk.virtual import passes, virtual_time
from tests.sdk.world import sid

ONE = sid("WR", 1)
LIST = "GET .*/Reservations$"


def listening(worker: Worker) -> list[str]:
    """What is told of a reservation's end and of its transfers, with where it came from."""
    log: list[str] = []

    def begun(transfer: OutgoingTransfer) -> None:
        log.append(f"initiated ({transfer.origin})")
        for event in sorted(OutgoingTransfer.EVENTS):
            transfer.on(event, lambda t, event=event: log.append(f"{event} ({t.origin}) {t.outcome}"))  # type: ignore[call-overload]

    def created(reservation: Reservation) -> None:
        reservation.task.on("transferInitiated", begun)
        reservation.on("ended", lambda r: log.append(f"reservation ended ({r.origin})"))

    worker.on("reservationCreated", created)
    return log


def accepted(peer: Peer) -> None:
    """The worker's program takes a task."""
    peer.push(peer.world.create_reservation())
    peer.push(peer.world.accept(ONE))


@virtual_time
async def test_what_a_gap_hid_of_a_transfer_is_told_after_it() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = listening(worker)
    async with worker:
        accepted(peer)
        await worker.caught_up()
        peer.close()
        begun = peer.world.start_transfer(ONE)
        await worker.caught_up()
        assert log == ["initiated (resync)"]
        peer.close()
        ended = peer.world.end_transfer(ONE, "completed")
        await worker.caught_up()
        assert log == ["initiated (resync)", "ended (resync) unknown"]
        peer.push(begun + ended)  # late
        await worker.caught_up()
        assert len(log) == 2
        outgoing = worker.reservations[ONE].task.transfers.outgoing
        assert outgoing is not None
        assert (outgoing.status, outgoing.outcome) == ("unknown", "unknown")


@virtual_time
async def test_an_end_that_is_pushed_while_the_snapshot_is_taken_is_told_as_it_came() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = listening(worker)
    async with worker:
        accepted(peer)
        peer.push(peer.world.start_transfer(ONE))
        await worker.caught_up()
        peer.close()
        release = peer.hold(LIST, late=False)  # the list is made after the push
        await passes(3)
        peer.push(peer.world.end_transfer(ONE, "failed"))
        await passes(1)
        release.set()
        await worker.caught_up()
        assert log == ["initiated (event)", "failed (event) failed", "ended (event) failed"]


@virtual_time
async def test_an_end_pushed_before_that_of_its_reservation_is_told_before_it() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = listening(worker)
    async with worker:
        accepted(peer)
        peer.push(peer.world.start_transfer(ONE))
        await worker.caught_up()
        peer.close()
        release = peer.hold(LIST, late=False)
        await passes(3)
        peer.push(peer.world.end_transfer(ONE, "completed"))
        peer.push(peer.world.complete(ONE))
        await passes(1)
        release.set()
        await worker.caught_up()
        assert log == [
            "initiated (event)",
            "completed (resync) complete",
            "ended (resync) complete",
            "reservation ended (resync)",
        ]


@virtual_time
async def test_a_new_token_tells_no_event_of_a_transfer_twice() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = listening(worker)
    async with worker:
        accepted(peer)
        peer.push(peer.world.start_transfer(ONE))
        await worker.caught_up()
        release = peer.hold(LIST)
        worker.update_token("another-opaque-token")
        await passes(3)  # two connections, and both push
        assert len(peer.live) == 2
        peer.push(peer.world.fail_attempt(ONE))
        peer.push(peer.world.end_transfer(ONE, "failed"))
        await passes(1)
        release.set()
        await passes(3)
        await worker.caught_up()
        assert len(peer.live) == 1
        assert log == [
            "initiated (event)",
            "attemptFailed (event) None",
            "failed (event) failed",
            "ended (event) failed",
        ]
