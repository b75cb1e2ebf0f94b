"""Callbacks: what happens in a workspace, told to the application's own servers.

* A workflow's assignment callback asks what shall become of each new reservation; its JSON answer
  may be an instruction (TaskRouter, "Handling task assignment callbacks").
* A workspace's event callback is told of events, in order, each at most once.
* Status callbacks are told what becomes of the calls that instructions made up, in order as well.

Whatever a receiver does, routing goes on: callbacks run beside it, each within its time, and only so
many of a workspace wait at once. What does not fit is dropped and counted.

Nobody's workflow makes this server call arbitrary machines: only the loopback interface, and hosts
that its settings name.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias, cast
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec
from yarl import URL

from taskrouter_worker.terms import EventType, Instruction, ReservationStatus

from .deliveries import ANSWER_SHOWN, Deliveries, Delivery, DeliveryKind, DeliveryOutcome, masked
from .domain.errors import DomainError, NotFound
from .domain.events import Event
from .domain.history import event_sid
from .domain.instruction_options import from_answer
from .domain.model import Reservation
from .domain.moments import whole_ms
from .domain.telephony import StatusCallback
from .domain.workspace import Workspace
from .event_data import camel_case, description, event_data, resource_of
from .runtime import InternalError, Runtime
from .settings import is_loopback

__all__ = ["Callbacks", "signature", "wire_address"]

ASSIGNMENT_SECONDS: Final = 5.0
"""How long an application may take over an assignment callback (TaskRouter)."""

EVENT_SECONDS: Final = 15.0
"""How long an application may take over an event callback (TaskRouter)."""

STATUS_SECONDS: Final = 5.0
"""How long an application may take over a status callback (our choice: undocumented)."""

MAX_ANSWER: Final = 65_536
"""Longest answer that is read, in bytes (our choice)."""

WAITING: Final = 1_000
"""Callbacks of one kind and workspace that may wait for their turn."""

WIDTH: Final = {DeliveryKind.ASSIGNMENT: 50, DeliveryKind.EVENT: 1, DeliveryKind.STATUS: 1}
"""How many of one kind and workspace are under way at once. What has an order goes one by one."""

UNUSABLE_ANSWER: Final = 40001
NO_INSTRUCTION: Final = 40005
BAD_REJECT_ACTIVITY: Final = 40100
UNKNOWN_INSTRUCTION: Final = 55555

_Job: TypeAlias = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


def signature(auth_token: str, url: str, parameters: Mapping[str, str]) -> str:
    """`X-Twilio-Signature` of a request with these form parameters (Twilio, "Validating requests")."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), hashlib.sha1)).decode()


@dataclass(slots=True)
class _Lane:
    """What waits for its turn: the callbacks of one kind of one workspace."""

    waiting: deque[Callable[[], Awaitable[None]]] = field(
        default_factory=deque[Callable[[], Awaitable[None]]]
    )
    running: int = 0
    dropped: int = 0  # since it was last empty


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is to be sent, wherever it goes."""

    workspace_sid: str
    kind: DeliveryKind
    sid: str
    event_type: str = ""
    parameters: Mapping[str, str]
    seconds: float  # its time limit
    method: str = "POST"
    epoch: int  # of the workspace, see `Callbacks.abandon`


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """A request that was sent, or was to be sent, and what came of it."""

    request: _Request
    url: str
    is_fallback: bool = False
    at: float
    seconds: float = 0.0
    outcome: DeliveryOutcome = DeliveryOutcome.FAILED
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    code: int | None = None
    reason: str = ""

    def fail(self, reason: str, code: int | None = None) -> None:
        self.outcome, self.reason, self.code = DeliveryOutcome.FAILED, reason, code


class _Unusable(Exception):
    """An answer from which nothing can be learnt."""


class Callbacks:
    """Calls applications' servers. Open it before events come, close it at the end.

    Args:
        runtime: carries out what an application answers.
        auth_token: signs the requests.
        hosts: hosts that may be called beside the loopback interface.

    Attributes:
        deliveries: the record of what was sent.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        auth_token: str,
        hosts: Collection[str] = (),
    ) -> None:
        self.deliveries = Deliveries()
        self._runtime = runtime
        self._auth_token = auth_token
        self._hosts = frozenset(host.lower() for host in hosts)
        self._lanes: dict[tuple[str, DeliveryKind], _Lane] = {}
        self._epochs: Counter[str] = Counter()  # by workspace, how often it was set to another state
        self._told: dict[tuple[str, DeliveryKind], str] = {}  # the last failure of each kind
        self._owner: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._http: aiohttp.ClientSession | None = None

    # --- Life ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start to call."""
        ready = asyncio.Event()
        self._owner = asyncio.create_task(self._own(ready), name="callbacks")
        await ready.wait()

    async def close(self) -> None:
        """Give up what waits and what is under way, at once. Idempotent."""
        owner, self._owner = self._owner, None
        self._group = None  # nothing begins from here on
        if owner is not None:
            owner.cancel()
            await asyncio.wait([owner])

    async def _own(self, ready: asyncio.Event) -> None:
        """The parent of everything that runs here."""
        try:
            async with (
                aiohttp.ClientSession(
                    # A connection per request: one that idles may be closed just when it is used.
                    connector=aiohttp.TCPConnector(limit=0, force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=None),  # each request has its own
                    auto_decompress=False,  # some bytes could become gigabytes
                    headers={"User-Agent": "taskrouter-stub", "Accept-Encoding": "identity"},
                ) as http,
                asyncio.TaskGroup() as group,
            ):
                self._http, self._group = http, group
                ready.set()
                await asyncio.get_running_loop().create_future()  # until it is canceled
        finally:
            self._http = self._group = None
            for (workspace_sid, kind), lane in self._lanes.items():
                if left := len(lane.waiting):
                    log.warning(
                        "%d %s callbacks of %s were not sent: the server stopped", left, kind, workspace_sid
                    )
                self.deliveries.drop(workspace_sid, kind, left)
                self.deliveries.ended(left)
            self._lanes.clear()

    def abandon(self, workspace: Workspace) -> None:
        """The workspace is set to another state: what waits is never sent, answers to come are discarded."""
        self._epochs[workspace.sid] += 1
        for (workspace_sid, _), lane in self._lanes.items():
            if workspace_sid == workspace.sid and lane.waiting:
                self.deliveries.ended(len(lane.waiting))
                lane.waiting.clear()
        self.deliveries.forget(workspace.sid)

    def _is_abandoned(self, request: _Request) -> bool:
        return request.epoch != self._epochs[request.workspace_sid]

    def forget(self, workspace: Workspace) -> None:
        """The workspace was deleted, and its record with it. What waits is still sent."""
        self.deliveries.forget(workspace.sid)
        for kind in DeliveryKind:
            self._told.pop((workspace.sid, kind), None)

    # --- What is to be told -------------------------------------------------------------------

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Note what is to be told of the events of one command. Returns at once."""
        if self._group is None:
            return  # the server does not run
        wanted = _filter(workspace.events_filter)
        for event in events:
            if event.logged and workspace.event_callback_url and (wanted is None or event.type in wanted):
                self._announce(workspace, event)
            if event.type is EventType.RESERVATION_CREATED and isinstance(event.resource, Reservation):
                self._offer(workspace, event.resource, event.at)

    def _announce(self, workspace: Workspace, event: Event) -> None:
        sid, url = event_sid(workspace.sid, event.seq), workspace.event_callback_url
        # Rendered here: by the time it is sent the resource may look different.
        request = _Request(
            workspace_sid=workspace.sid,
            epoch=self._epochs[workspace.sid],
            kind=DeliveryKind.EVENT,
            sid=sid,
            event_type=event.type,
            parameters=_event_parameters(workspace, event, sid),
            seconds=EVENT_SECONDS,
        )
        self._enqueue(request, lambda: self._tell(request, url))

    def _offer(self, workspace: Workspace, reservation: Reservation, at: float) -> None:
        workflow = reservation.task.workflow
        if workflow is None or not workflow.assignment_callback_url:
            return
        urls = (workflow.assignment_callback_url, workflow.fallback_assignment_callback_url or "")
        request = _Request(
            workspace_sid=workspace.sid,
            epoch=self._epochs[workspace.sid],
            kind=DeliveryKind.ASSIGNMENT,
            sid=reservation.sid,
            parameters=_assignment_parameters(workspace, reservation, at),
            seconds=ASSIGNMENT_SECONDS,
        )
        self._enqueue(request, lambda: self._assign(request, *urls))

    def publish_steps(self, workspace: Workspace, steps: Sequence[StatusCallback]) -> None:
        """Note what is to be told of calls and conferences. Returns at once."""
        for step in steps:
            request = _Request(
                workspace_sid=workspace.sid,
                epoch=self._epochs[workspace.sid],
                kind=DeliveryKind.STATUS,
                sid=step.sid,
                event_type=step.event,
                parameters=step.parameters,
                seconds=STATUS_SECONDS,
                method=step.method,
            )
            self._enqueue(request, partial(self._tell, request, step.url))

    # --- Taking turns -------------------------------------------------------------------------

    def _enqueue(self, request: _Request, job: _Job) -> None:
        """Let the job wait for its turn, once what it tells of is stored."""
        if self._runtime.commits is None:
            self._admit(request, job)
        else:
            self._runtime.commits.when_committed(lambda: self._admit(request, job))

    def _admit(self, request: _Request, job: _Job) -> None:
        """Let the job have its turn, or drop it if too many wait or the server does not run.

        A dropped assignment leaves its reservation pending: to take it back would only make the next
        one (our choice).
        """
        if self._group is None or self._is_abandoned(request):
            return
        key = (request.workspace_sid, request.kind)
        lane = self._lanes.setdefault(key, _Lane())
        if len(lane.waiting) >= WAITING:
            self.deliveries.drop(*key)
            if not lane.dropped:
                log.warning("%d %s callbacks of %s wait: dropping more", WAITING, request.kind, key[0])
            lane.dropped += 1
            return
        self.deliveries.began()
        lane.waiting.append(job)
        if lane.running < WIDTH[request.kind]:
            lane.running += 1
            self._group.create_task(self._work(key, lane), name=f"{request.kind} callbacks of {key[0]}")

    async def _work(self, key: tuple[str, DeliveryKind], lane: _Lane) -> None:
        while lane.waiting:
            job = lane.waiting.popleft()
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - a defect in one callback must not end the others
                log.error("a callback broke: %s", type(error).__name__)  # noqa: TRY400 - its text may quote customers
            finally:
                self.deliveries.ended()
        lane.running -= 1
        if not lane.running:
            del self._lanes[key]
            if lane.dropped:
                log.warning("%d %s callbacks of %s were dropped", lane.dropped, key[1], key[0])

    # --- Events and steps of calls ------------------------------------------------------------

    async def _tell(self, request: _Request, url: str) -> None:
        """Send it once, whatever comes of it."""
        attempt = await self._send(request, url)
        if attempt.status is not None and not 200 <= attempt.status < 300:
            attempt.fail(f"it was answered with status {attempt.status}")
        self._record(attempt)

    # --- Assignments --------------------------------------------------------------------------

    async def _assign(self, request: _Request, url: str, fallback_url: str) -> None:
        """Ask what shall become of a reservation; take it back if nobody gives a usable answer.

        Where every address was refused by this server nobody failed to answer: the reservation stays,
        as without any address (our choice).
        """
        was_sent = False
        for address, is_fallback in ((url, False), (fallback_url, True)):
            if not address:
                continue
            attempt = await self._send(request, address, is_fallback=is_fallback)
            if self._is_abandoned(request):
                return
            was_sent |= attempt.outcome is not DeliveryOutcome.REFUSED
            if attempt.outcome is DeliveryOutcome.DELIVERED:
                try:
                    answer = _read_answer(attempt)
                except _Unusable as unusable:
                    attempt.fail(str(unusable), UNUSABLE_ANSWER)
                else:
                    attempt.code, attempt.reason = self._obey(request, answer)
                    self._record(attempt)
                    return
            elif attempt.outcome is DeliveryOutcome.FAILED:
                attempt.code = UNUSABLE_ANSWER
            self._record(attempt)
        if was_sent:
            self._withdraw(request)

    def _obey(self, request: _Request, answer: Mapping[str, object]) -> tuple[int | None, str]:
        """Carry out an answer; TaskRouter's code of what is wrong with it, and what became of it."""
        if "instruction" not in answer:
            return NO_INSTRUCTION, "the answer has no instruction"
        word = answer["instruction"]
        if not isinstance(word, str) or word.lower() not in _INSTRUCTIONS:
            return UNKNOWN_INSTRUCTION, "the instruction is not known; the reservation stays pending"
        try:
            workspace = self._runtime.workspace(request.workspace_sid)
            reservation = workspace.reservation(request.sid)
        except NotFound:
            return None, "the reservation is gone; the answer was discarded"
        parameters = from_answer(answer)
        activity_sid = parameters.pop("WorkerActivitySid", None)
        code = None
        if activity_sid is not None and (
            not isinstance(activity_sid, str) or activity_sid not in workspace.activities
        ):
            code, activity_sid = BAD_REJECT_ACTIVITY, None
        try:
            self._runtime.run(
                workspace,
                lambda ws: ws.change_reservation(
                    request.sid, instruction=word, worker_activity_sid=activity_sid, parameters=parameters
                ),
            )
        except DomainError as error:
            ended = reservation.status is not ReservationStatus.PENDING
            hint = (
                f"the reservation is {reservation.status}; the answer was discarded" if ended else str(error)
            )
            return error.log_code or error.code, hint
        except InternalError as error:
            return None, str(error)
        if code is not None:
            return code, "rejected; activity_sid names no activity, the worker keeps its own"
        return None, f"{word.lower()} was carried out"

    def _withdraw(self, request: _Request) -> None:
        """Nobody could be asked: the reservation is canceled and its task goes back to its queue."""
        try:
            workspace = self._runtime.workspace(request.workspace_sid)
            if workspace.reservation(request.sid).status is ReservationStatus.PENDING:
                self._runtime.run(
                    workspace, lambda ws: ws.cancel_reservation(request.sid, reason_code=UNUSABLE_ANSWER)
                )
        except NotFound:
            return
        except (DomainError, InternalError) as error:
            log.warning("reservation %s could not be canceled: %s", request.sid, error)

    # --- Sending ------------------------------------------------------------------------------

    async def _send(self, request: _Request, url: str, *, is_fallback: bool = False) -> _Attempt:
        """Send a request within its time. Never fails: what went wrong is in the attempt."""
        attempt = _Attempt(
            request=request, url=url, is_fallback=is_fallback, at=self._runtime.now(request.workspace_sid)
        )
        if (refusal := self._refusal(url)) is not None:
            attempt.outcome, attempt.reason = DeliveryOutcome.REFUSED, refusal
            return attempt
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(request.seconds):
                await self._exchange(attempt)
            attempt.outcome = DeliveryOutcome.DELIVERED
        except TimeoutError:
            attempt.fail(f"no complete answer within {request.seconds:g} seconds")
        except asyncio.CancelledError:
            attempt.fail("the server stopped")
            self._record(attempt)
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            attempt.fail(_problem(error))
        finally:
            attempt.seconds = loop.time() - began
        return attempt

    async def _exchange(self, attempt: _Attempt) -> None:
        request = attempt.request
        if self._http is None:
            raise OSError("the server stopped")
        parts = urlsplit(attempt.url)
        address = wire_address(attempt.url)
        parameters = {name: _clean(value) for name, value in request.parameters.items()}
        form: bytes | None = None
        headers: dict[str, str] = {}
        if request.method == "GET":
            address += ("&" if parts.query else "?") + urlencode(parameters)
            parameters = {}
        else:
            form = urlencode(parameters).encode("ascii")
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        headers["X-Twilio-Signature"] = signature(self._auth_token, address, parameters)
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        async with self._http.request(
            request.method,
            URL(address, encoded=True),  # exactly what was signed
            data=form,
            headers=headers,
            allow_redirects=False,
        ) as response:
            attempt.status = response.status
            attempt.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            # One byte more than is read of any answer shows that it is too long.
            while len(attempt.body) <= MAX_ANSWER:
                chunk = await response.content.read(MAX_ANSWER + 1 - len(attempt.body))
                if not chunk:
                    break
                attempt.body += chunk

    def _refusal(self, url: str) -> str | None:
        """Why this server does not call the address, None if it does."""
        try:
            parts = urlsplit(url)
            _ = parts.port  # a bad one raises
            host = (parts.hostname or "").lower()
        except ValueError:
            return "the address cannot be read"
        if parts.scheme not in ("http", "https") or not host:
            return "the address is no http or https URL"
        if not is_loopback(host) and host not in self._hosts:
            return f"the host {host} is not this machine: allow it with --allow-callbacks-to {host}"
        return None

    def _level(self, attempt: _Attempt) -> int:
        """How loudly to tell of a failure: a task may be offered a thousand times to a server that fails."""
        key, reason = (attempt.request.workspace_sid, attempt.request.kind), attempt.reason
        is_told = self._told.get(key) == reason
        self._told[key] = reason
        return logging.DEBUG if is_told else logging.WARNING

    def _record(self, attempt: _Attempt) -> None:
        request = attempt.request
        if self._is_abandoned(request):
            return
        if attempt.outcome is not DeliveryOutcome.DELIVERED or attempt.code is not None:
            # Neither the address nor the answer, nor a refusal that quotes it: they may hold what is
            # nobody's business.
            is_answered = attempt.outcome is DeliveryOutcome.DELIVERED
            log.log(
                self._level(attempt),
                "%s callback of %s (%s): %s%s",
                request.kind,
                request.sid,
                attempt.outcome,
                "see its record for what became of the answer" if is_answered else attempt.reason,
                f" [{attempt.code}]" if attempt.code is not None else "",
            )
        else:
            self._told.pop((request.workspace_sid, request.kind), None)
        self.deliveries.add(
            Delivery(
                number=self.deliveries.next_number(),
                workspace_sid=request.workspace_sid,
                kind=request.kind,
                sid=request.sid,
                event_type=request.event_type,
                method=request.method,
                url=masked(attempt.url),
                parameters=request.parameters,
                at=attempt.at,
                seconds=attempt.seconds,
                outcome=attempt.outcome,
                status=attempt.status,
                answer=attempt.body.decode(errors="replace")[:ANSWER_SHOWN],
                code=attempt.code,
                reason=attempt.reason,
                is_fallback=attempt.is_fallback,
            )
        )


# --- Answers ------------------------------------------------------------------------------------

_INSTRUCTIONS: Final = frozenset(Instruction) - {Instruction.SUPERVISE}
"""What an answer may ask for: supervising needs an accepted reservation."""


def _read_answer(attempt: _Attempt) -> Mapping[str, object]:
    """The object that an assignment callback was answered with; an empty body counts as an empty one.

    Raises:
        _Unusable: it is not what TaskRouter takes: status 200, JSON by its content type, an object.
    """
    if attempt.status != 200:
        redirect = attempt.status is not None and 300 <= attempt.status < 400
        hint = "; redirects are not followed" if redirect else ""
        raise _Unusable(f"it was answered with status {attempt.status}, expected 200{hint}")
    if len(attempt.body) > MAX_ANSWER:
        raise _Unusable(f"the answer is longer than {MAX_ANSWER} bytes")
    if not attempt.body.strip():
        return {}
    if attempt.content_type != "application/json":
        raise _Unusable("the answer's content type is not application/json")
    try:
        answer: object = msgspec.json.decode(attempt.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unusable("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise _Unusable("the answer is not a JSON object")
    return cast("dict[str, object]", answer)  # JSON objects have text keys only


# --- Parameters ---------------------------------------------------------------------------------


def _assignment_parameters(workspace: Workspace, reservation: Reservation, at: float) -> dict[str, str]:
    task, worker = reservation.task, reservation.worker
    return {
        "AccountSid": workspace.account_sid,
        "WorkspaceSid": workspace.sid,
        "WorkflowSid": task.workflow.sid if task.workflow else "",
        "TaskQueueSid": task.queue.sid if task.queue else "",
        "WorkerSid": worker.sid,
        "WorkerAttributes": worker.attributes,
        "TaskSid": task.sid,
        "TaskAttributes": task.attributes,
        "TaskAge": str(max(0, int(at - task.date_created))),
        "TaskPriority": str(task.priority),
        "ReservationSid": reservation.sid,
        "Timestamp": str(int(at)),
    }


def _event_parameters(workspace: Workspace, event: Event, sid: str) -> dict[str, str]:
    kind, resource_sid = resource_of(workspace, event)
    facts = {camel_case(key): value for key, value in event_data(workspace, event).items()}
    return {
        **facts,
        "EventType": event.type.value,
        "EventDescription": description(workspace, event),
        "Sid": sid,
        "Timestamp": str(int(event.at)),
        "TimestampMs": str(whole_ms(event.at)),
        "AccountSid": workspace.account_sid,
        "WorkspaceSid": workspace.sid,
        "WorkspaceName": workspace.friendly_name,
        "ResourceType": kind,
        "ResourceSid": resource_sid,
    }


def _filter(text: str | None) -> frozenset[str] | None:
    """The event types that a workspace wants to be told of; None for all."""
    words = frozenset(word.strip() for word in (text or "").split(",") if word.strip())
    return words or None


# --- Addresses ----------------------------------------------------------------------------------


def wire_address(url: str) -> str:
    """The address as its server sees it, which is what is signed.

    As configured, with its port and query; without credentials and fragment, which do not travel in the
    address, and with a path.
    """
    parts = urlsplit(url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))
    if address.isascii() and address.isprintable() and " " not in address:
        return address
    return str(URL(address))  # quoted, as nothing else can travel


def _clean(value: str) -> str:
    """Text that can be encoded: half a surrogate pair, which JSON allows, cannot."""
    return value.encode(errors="replace").decode()


def _problem(error: Exception) -> str:
    """What went wrong, in words that hold no address."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "the TLS certificate is not trusted, or TLS failed"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.ServerDisconnectedError():
            return "the connection ended without an answer"
        case aiohttp.ClientPayloadError():
            return "the connection ended within the answer"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case OSError():
            return f"the connection failed: {error.strerror or type(error).__name__}"
        case _:
            return f"it could not be sent: {type(error).__name__}"
