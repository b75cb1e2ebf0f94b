"""Every fault, and what both SDKs do under it: the one table of the tests and of docs/faults.md.

Each row is played on real sockets, by a worker with a workspace of its own, all of them at once on one
server: so they also prove that faults of one workspace leave the others alone.
"""

from __future__ import annotations

import abc
import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from server_stub import StubServer
from server_stub.domain.workspace import Workspace
from server_stub.faults import ActionKind, FaultHandle, FaultKind, Faults
from tests.scenarios.journal import History

__all__ = ["ROWS", "Played", "Row", "Seat", "play"]

PATIENCE = 300.0
"""Seconds of the loop's time, which may run fast, until what must happen counts as missing."""

GAPS = frozenset(
    {
        FaultKind.DROP,  # see `play`
        FaultKind.CUT_BEFORE,
        FaultKind.CUT_AFTER,
        FaultKind.HALF_OPEN,
        FaultKind.MUTE_HEARTBEATS,
        *ActionKind,
    }
)

Stage = Literal["connecting", "event", "command", "silence", "at once"]


@dataclass(frozen=True, kw_only=True)
class Played:
    """What an application saw.

    Attributes:
        life: the worker's own events, in order; attempts that repeat each other count once.
        lost: whether something was never told, or out of order.
        twice: whether something was told twice; None where that is chance.
        command: what became of `accept`, where the row has one.
    """

    life: tuple[str, ...]
    lost: bool = False
    twice: bool | None = False
    command: str | None = None

    @property
    def sentence(self) -> str:
        """For people."""
        words = [", ".join(self.life) if self.life != ("ready",) else "stays ready"]
        if self.command is not None:
            words.append(
                "`accept` returns" if self.command == "returned" else f"`accept` fails: {self.command}"
            )
        if self.twice is None:
            words.append("**may be told twice**")
        elif self.twice:
            words.append("**told twice**")
        words.append("**something is never told**" if self.lost else "nothing lost")
        return "; ".join(words)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        name: of the test.
        body: its REST body, without the workspace.
        method: the helper that does the same.
        args: what the helper takes by position; the rest of the body are its options.
        stage: when it happens: to a new session, to an event, to `accept`, during a silence, at once.
        ours, theirs: what the application of each SDK sees.
    """

    name: str
    body: dict[str, Any]
    method: str
    args: tuple[Any, ...] = ()
    stage: Stage
    ours: Played
    theirs: Played

    @property
    def kind(self) -> FaultKind | ActionKind:
        """Which fault it is."""
        return FaultKind(self.body["fault"]) if "fault" in self.body else ActionKind(self.body["action"])

    @property
    def gap(self) -> bool:
        """Whether the worker loses its connection after it was ready."""
        return self.kind in GAPS

    @property
    def options(self) -> dict[str, Any]:
        """What the helper takes by name."""
        first = {"fault", "action", *(name for name, value in self.body.items() if value in self.args)}
        return {name: value for name, value in self.body.items() if name not in first}

    @property
    def python(self) -> str:
        """The helper as it is written."""
        words = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.options.items())]
        return f"faults.{self.method}({', '.join(words)})".replace("'", '"')

    def strike(self, faults: Faults, workspace_sid: str) -> FaultHandle | list[int]:
        """Call the helper."""
        result = getattr(faults, self.method)(*self.args, workspace_sid=workspace_sid, **self.options)
        assert isinstance(result, FaultHandle | list)
        return result

    @property
    def markdown(self) -> str:
        """Its line in docs/faults.md."""
        cells = (
            f"`{self.python}`",
            f"`{json.dumps(self.body)}`",
            self.ours.sentence,
            self.theirs.sentence,
        )
        return f"| {' | '.join(cells)} |"


class Seat(abc.ABC):
    """One worker of the server, in a workspace of its own, seen through one of the SDKs."""

    def __init__(self, server: StubServer, row: Row) -> None:
        self.server = server
        self.row = row
        self.workspace_sid = server.add_workspace(friendly_name=row.name)
        self.worker_sid = server.run(self.workspace_sid, _hire)
        self.history = History(self.worker_sid)
        server.observe(self.history.record)

    @property
    @abc.abstractmethod
    def life(self) -> list[str]:
        """The worker's own events so far; `over` at last if it is told that it will not come back."""

    @abc.abstractmethod
    async def connect(self) -> None:
        """Log in; returns once ready."""

    @abc.abstractmethod
    def told(self) -> dict[str, list[str]]:
        """By reservation SID: what the application heard, in order."""

    @abc.abstractmethod
    async def accept(self, reservation_sid: str) -> str:
        """Accept; `returned`, or the name of the error."""

    @abc.abstractmethod
    async def new_token(self) -> None:
        """Give it another token, unless it asks for one by itself."""

    def run(self, command: Callable[[Workspace], Any]) -> Any:
        """A command that no worker caused."""
        return self.server.run(self.workspace_sid, command)

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that no single event announces."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await asyncio.sleep(0.1)  # not more often: a busy loop's clock is slow
        except TimeoutError:
            raise AssertionError(
                f"{what}; life {self.life}, told {self.told()}, happened {dict(self.history.steps)}"
            ) from None

    async def knows(self, task: Any, step: str) -> str:
        """Wait until the application was told that step of a task's only reservation; its SID."""
        await self.wait(lambda: bool(task.reservations), "no reservation")
        [sid] = task.reservations
        await self.wait(lambda: step in self.told().get(sid, ()), f"never told {step} of {sid}")
        return str(sid)

    def result(self, command: str | None) -> Played:
        """What it saw, and what of it was missing or too much."""
        told, happened = self.told(), self.history.steps
        expected = {sid: [step for step in steps if step in STEPS] for sid, steps in happened.items()}
        heard = {sid: list(dict.fromkeys(told.get(sid, ()))) for sid in happened}
        for sid, steps in expected.items():
            if heard[sid] == [f"missed as {steps[-1]}"]:  # that is told as well: it was made and how it ended
                heard[sid] = steps
        return Played(
            life=_shortened(self.life),
            lost=heard != expected,
            twice=any(len(set(steps)) < len(steps) for steps in told.values()),
            command=command,
        )


STEPS = frozenset({"created", "accepted", "canceled", "completed"})


def _hire(workspace: Workspace) -> str:
    available = next(a.sid for a in workspace.activities.values() if a.available)
    return workspace.create_worker(friendly_name="nina", activity_sid=available).sid


async def play(seat: Seat) -> Played:
    """Let the fault happen, then see that the worker is told of one more offer."""
    row, faults = seat.row, seat.server.faults
    handle: FaultHandle | None = None
    task: Any = None
    command = None

    def strike() -> None:
        nonlocal handle
        result = row.strike(faults, seat.workspace_sid)
        if isinstance(result, FaultHandle):
            handle = result
        else:
            assert len(result) == 1, f"{row.name} hit the sessions {result}"

    if row.stage == "connecting":
        strike()
        await seat.connect()
    else:
        await seat.connect()
    if row.stage == "command":
        task = seat.run(lambda ws: ws.create_task())
        sid = await seat.knows(task, "created")
        strike()
        command = await seat.accept(sid)
    elif row.stage == "event":
        strike()
        task = seat.run(lambda ws: ws.create_task())
    elif row.stage in ("silence", "at once"):
        strike()
    if handle is not None:
        await handle.wait_for_hits(timeout=PATIENCE)

    if row.kind is FaultKind.REORDER:  # the frame that overtakes
        seat.run(lambda ws: ws.update_task(task.sid, assignment_status="canceled"))
    if row.kind is FaultKind.DROP:  # nobody can notice that by itself: it comes out at the next gap
        faults.restart(workspace_sid=seat.workspace_sid)
    if row.kind is ActionKind.EXPIRE_TOKEN:
        await seat.wait(lambda: len(seat.life) > 1, "the token did not end")
        await seat.new_token()
    if row.gap:
        await seat.wait(lambda: seat.life[-1:] == ["over"] or _is_back(seat.life), "not back")
    faults.clear(seat.workspace_sid)
    if seat.life[-1:] == ["over"]:
        return seat.result(command)
    if task is not None and str(task.status) in ("reserved", "assigned"):
        status = "completed" if str(task.status) == "assigned" else "canceled"
        seat.run(lambda ws: ws.update_task(task.sid, assignment_status=status))
    await seat.knows(seat.run(lambda ws: ws.create_task()), "created")
    return seat.result(command)


def _is_back(life: list[str]) -> bool:
    return life[-1:] == ["ready"] and any(event.startswith("disconnected") for event in life)


def _shortened(life: list[str]) -> tuple[str, ...]:
    """Without immediate repetitions: how many attempts there were is chance."""
    shown: list[str] = []
    for event in life:
        shown.append(event)
        for width in (1, 2, 3):
            if len(shown) >= 2 * width and shown[-width:] == shown[-2 * width : -width]:
                del shown[-width:]
                break
    return tuple(shown)


CREATED = {"event_type": "reservation.created", "times": 1}
COMMAND = {"method": "POST", "times": 1}
ONCE = {"times": 1}

LOST_1006 = "disconnected: connection_lost (1006)"
SILENCE = "disconnected: silence (None)"
RESTART = "disconnected: resynchronise (1012)"

JS_LOST_1006 = "disconnected: Websocket closed with errorCode=1006"
JS_SILENCE = "disconnected: Connection lost"
JS_RESTART = "disconnected: the server restarts"
JS_NO_CONNECTION = "error: Could not connect to Twilio's servers."


def _gap(disconnected: str, *, lost: bool = False) -> Played:
    return Played(life=("ready", disconnected, "ready"), lost=lost)


def _command(outcome: str) -> Played:
    return Played(life=("ready",), command=outcome)


UNTOUCHED = Played(life=("ready",))


def _refused(status: int, ours: str, theirs: str) -> Row:
    return Row(
        name=f"request answered with {status}",
        body={"fault": "refuse_request", "status": status, **COMMAND},
        method="refuse_requests",
        args=(status,),
        stage="command",
        ours=_command(ours),
        theirs=_command(theirs),
    )


ROWS: tuple[Row, ...] = (
    Row(
        name="drop",
        body={"fault": "drop", **CREATED},
        method="drop_frames",
        stage="event",
        ours=_gap(RESTART),
        theirs=_gap(JS_RESTART, lost=True),
    ),
    Row(
        name="duplicate",
        body={"fault": "duplicate", "event_type": "reservation.*"},
        method="duplicate_frames",
        stage="event",
        ours=UNTOUCHED,
        theirs=Played(life=("ready",), twice=True),
    ),
    Row(
        name="reorder",
        body={"fault": "reorder", **CREATED},
        method="reorder_frames",
        stage="event",
        ours=UNTOUCHED,
        theirs=Played(life=("ready",), lost=True),
    ),
    Row(
        name="delay",
        body={"fault": "delay", "delay": 2, **CREATED},
        method="delay_frames",
        args=(2,),
        stage="event",
        ours=UNTOUCHED,
        theirs=UNTOUCHED,
    ),
    Row(
        name="cut before",
        body={"fault": "cut_before", **CREATED},
        method="cut_at_frames",
        args=("before",),
        stage="event",
        ours=_gap(LOST_1006),
        theirs=_gap(JS_LOST_1006, lost=True),
    ),
    Row(
        name="cut after",
        body={"fault": "cut_after", **CREATED},
        method="cut_at_frames",
        args=("after",),
        stage="event",
        ours=_gap(LOST_1006),
        theirs=_gap(JS_LOST_1006),
    ),
    Row(
        name="half-open at an event",
        body={"fault": "half_open", **CREATED},
        method="half_open_at_frames",
        stage="event",
        ours=_gap(SILENCE),
        theirs=_gap(JS_SILENCE, lost=True),
    ),
    Row(
        name="slow init",
        body={"fault": "slow_init", "delay": 3, **ONCE},
        method="slow_init",
        args=(3,),
        stage="connecting",
        ours=UNTOUCHED,
        theirs=UNTOUCHED,
    ),
    Row(
        name="mute heartbeats",
        body={"fault": "mute_heartbeats"},
        method="mute_heartbeats",
        stage="silence",
        ours=_gap(SILENCE),
        theirs=_gap(JS_SILENCE),
    ),
    Row(
        name="websocket refused with 503",
        body={"fault": "refuse_websocket", "status": 503, **ONCE},
        method="refuse_websockets",
        args=(503,),
        stage="connecting",
        ours=Played(life=("error: ConnectionFailedError (503)", "ready")),
        theirs=Played(life=(JS_NO_CONNECTION, JS_LOST_1006, "ready")),
    ),
    Row(
        name="websocket reset",
        body={"fault": "reset_websocket", **ONCE},
        method="reset_websockets",
        stage="connecting",
        ours=Played(life=("error: ConnectionFailedError (None)", "ready")),
        theirs=Played(life=(JS_NO_CONNECTION, JS_LOST_1006, "ready")),
    ),
    _refused(401, "returned", "REQUEST_INVALID: Request failed with status code 401"),
    _refused(
        412,
        "VersionConflictError, carried_out=False",
        "REQUEST_INVALID: Request failed with status code 412",
    ),
    Row(
        name="request answered with 429",
        body={"fault": "refuse_request", "status": 429, "retry_after": 5, **COMMAND},
        method="refuse_requests",
        args=(429,),
        stage="command",
        ours=_command("RateLimitedError, carried_out=False, retry_after=5.0"),
        theirs=_command("REQUEST_INVALID: Request failed with status code 429"),
    ),
    _refused(500, "ServerError, carried_out=False", "SERVER_ERROR: Server responded with status code 500"),
    _refused(503, "ServerError, carried_out=False", "SERVER_ERROR: Server responded with status code 503"),
    Row(
        name="request cut before",
        body={"fault": "cut_request_before", **COMMAND},
        method="cut_requests",
        args=("before",),
        stage="command",
        ours=_command("NetworkError, carried_out=False"),
        theirs=_command("NETWORK_ERROR: Network error has occurred"),
    ),
    Row(
        name="request cut after",
        body={"fault": "cut_request_after", **COMMAND},
        method="cut_requests",
        args=("after",),
        stage="command",
        ours=_command("returned"),
        theirs=_command("NETWORK_ERROR: Network error has occurred"),
    ),
    Row(
        name="request delayed",
        body={"fault": "delay_request", "delay": 2, **COMMAND},
        method="delay_requests",
        args=(2,),
        stage="command",
        ours=_command("returned"),
        theirs=_command("returned"),
    ),
    Row(
        name="cut now",
        body={"action": "cut"},
        method="cut",
        stage="at once",
        ours=_gap(LOST_1006),
        theirs=_gap(JS_LOST_1006),
    ),
    Row(
        name="half-open now",
        body={"action": "half_open"},
        method="half_open",
        stage="at once",
        ours=_gap(SILENCE),
        theirs=_gap(JS_SILENCE),
    ),
    Row(
        name="token expired now",
        body={"action": "expire_token"},
        method="expire_token",
        stage="at once",
        ours=Played(life=("ready", "disconnected: token_expired (4408)", "tokenExpired", "ready")),
        # `updateToken` may open a second connection beside the one that its back-off is about to open.
        theirs=Played(life=("ready", "disconnected: the token has expired", "ready"), twice=None),
    ),
    Row(
        name="session displaced",
        body={"action": "displace"},
        method="displace",
        stage="at once",
        ours=Played(life=("ready", "disconnected: displaced (4409)", "error: SessionDisplacedError", "over")),
        theirs=_gap("disconnected: displaced by a fault that a test asked for"),
    ),
    Row(
        name="server restarts",
        body={"action": "restart"},
        method="restart",
        stage="at once",
        ours=_gap(RESTART),
        theirs=_gap(JS_RESTART),
    ),
)
