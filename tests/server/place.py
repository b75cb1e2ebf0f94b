"""A workspace with one of everything, and every kind of credential that one can show for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twilio.jwt.taskrouter.capabilities import (
    TaskQueueCapabilityToken,
    WorkerCapabilityToken,
    WorkspaceCapabilityToken,
)

from docs.authority import Holder
from server_stub import StubServer
from server_stub.domain.history import event_sid
from taskrouter_worker.terms import WorkspaceTemplate

H = Holder
Json = dict[str, Any]  # Any: what a token or a parameter says is free-form JSON

_HASHES: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
LONGEST_HEADER: Final = 17_000
"""What surely reaches the server: a longer one is refused before anybody reads it."""

_WRONG_TEXTS: Final[tuple[object, ...]] = (5, [], {}, True, "")
_WRONG_CLAIMS: Final[Mapping[str, tuple[object, ...]]] = {
    "exp": ("soon", None, True, [], {}, float("nan"), float("inf"), 10**400),
    "nbf": ("now", True, [], {}, float("nan"), float("inf"), 10**400),
    "sub": (None, *_WRONG_TEXTS),
    "iss": (None, "SK", *_WRONG_TEXTS),
    "grants": (None, {"task_router": []}, *_WRONG_TEXTS),
}
_WRONG_BODIES: Final[tuple[object, ...]] = ([], None, "text", 5, b"\xff\xfe", b"{")
_WRONG_HEADERS: Final[tuple[Mapping[str, object], ...]] = (
    {"crit": ["exp"]},
    {"crit": ["b64"], "b64": False},
    {"alg": ["HS256"]},
    {"alg": None},
    {"kid": 5},
)

_numbers = itertools.count(1)


# --- What is there ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What one worker holds: one reservation for each thing that can be done with one."""

    worker_sid: str
    pending: Any
    accepted: Any
    conferring: Any
    transferring: Any


class Place:
    """A workspace with two workers who hold the same, and spare parts that nobody uses."""

    def __init__(self, server: StubServer) -> None:
        self.server = server
        account = server.account
        self.ws = account.create_workspace(
            friendly_name=f"place {next(_numbers)}", template=WorkspaceTemplate.FIFO
        )
        self.sid = self.ws.sid
        server._runtime.adopt(self.ws)
        activities = {a.friendly_name: a.sid for a in self.ws.activities.values()}
        self.unavailable, self.available = activities["Unavailable"], activities["Available"]
        [self.workflow_sid] = self.ws.workflows
        [self.task_queue_sid] = self.ws.task_queues
        nobodys = self.run(lambda ws: ws.create_task_queue(friendly_name="Nobody", target_workers="1==2"))
        self.spare_queue = self.run(lambda ws: ws.create_task_queue(friendly_name="Spare")).sid
        routing = {"task_routing": {"default_filter": {"queue": nobodys.sid}}}
        waiting = self.run(
            lambda ws: ws.create_workflow(friendly_name="Wait", configuration=json.dumps(routing))
        )
        self.spare_workflow = self.run(
            lambda ws: ws.create_workflow(friendly_name="Spare", configuration=json.dumps(routing))
        ).sid
        self.unheld = self.run(lambda ws: ws.create_task(workflow_sid=waiting.sid))
        self.spare_activity = self.run(lambda ws: ws.create_activity(friendly_name="Spare")).sid
        self.spare_channel = self.run(
            lambda ws: ws.create_task_channel(friendly_name="Spare", unique_name="spare")
        ).sid
        self.spare_worker = self.run(lambda ws: ws.create_worker(friendly_name="zoe")).sid
        self.gone = self.run(lambda ws: ws.create_worker(friendly_name="gone")).sid
        self.run(lambda ws: ws.delete_worker(self.gone))
        self.mine, self.theirs = self._stock("ann", nobodys.sid), self._stock("bob", nobodys.sid)

    def run(self, command: Callable[[Any], Any]) -> Any:
        """A command that nobody asked for from outside."""
        return self.server.run(self.sid, command)

    def _stock(self, name: str, nobodys: str) -> Stock:
        worker = self.run(lambda ws: ws.create_worker(friendly_name=name, activity_sid=self.available))
        self.run(lambda ws: ws.update_worker_channel(worker.sid, "default", capacity=10))

        def offered() -> Any:
            task = self.run(
                lambda ws: ws.create_task(workflow_sid=self.workflow_sid, routing_target=worker.sid)
            )
            [reservation] = task.reservations.values()
            return reservation

        def taken() -> Any:
            reservation = offered()
            self.run(lambda ws: ws.update_reservation(reservation.sid, status="accepted"))
            return reservation

        conferring, transferring = offered(), taken()
        self.run(
            lambda ws: ws.change_reservation(
                conferring.sid, instruction="conference", parameters={"To": "client:x"}, on_task=False
            )
        )
        self.run(
            lambda ws: ws.create_transfer(
                worker.sid, reservation_sid=transferring.sid, task_sid=transferring.task.sid, to=nobodys
            )
        )
        return Stock(
            worker_sid=worker.sid,
            pending=offered(),
            accepted=taken(),
            conferring=conferring,
            transferring=transferring,
        )

    @property
    def event_sid(self) -> str:
        """The first event of its history."""
        return event_sid(self.sid, 1)

    @property
    def call_sid(self) -> str:
        """A call of the first worker's conference."""
        return next(
            call.sid for call in self.ws.telephony.calls.values() if call.task is self.mine.conferring.task
        )


# --- Credentials --------------------------------------------------------------------------------


def basic(user: str, password: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(
    claims: object, key: str, *, alg: str = "HS256", header: Mapping[str, object] | None = None
) -> str:
    """A token made by hand: also such as no library makes."""
    head = {"typ": "JWT", "alg": "HS256" if alg == "HS256" else alg, **(header or {})}
    text = f"{_part(head)}.{_part(claims)}"
    made = hmac.digest(key.encode(), text.encode(), _HASHES.get(alg, hashlib.sha256))
    return f"{text}.{_part(made)}"


class Wallet:
    """The credentials of every column, for one place.

    Args:
        place: whose worker `ann` and whose workspace the tokens are for.
        other: a second workspace of the account.
        now: the time by which tokens expire, in epoch seconds.
    """

    def __init__(self, place: Place, other: Place, now: float) -> None:
        self.place, self.other, self.now = place, other, now
        self.server = place.server

    # -- sound tokens

    def grant(self, *, role: str = "worker", worker_sid: str | None = "", **fields: object) -> Json:
        """The claims of an access token; None leaves the worker out, `fields` go into the grant."""
        own = self.place.mine.worker_sid if worker_sid == "" else worker_sid
        inner: Json = {"workspace_sid": self.place.sid, "role": role, **fields}
        if own is not None:
            inner["worker_sid"] = own
        return {
            "iss": self.server.signing_key_sid,
            "sub": self.server.account_sid,
            "exp": self.now + 3600,
            "grants": {"task_router": inner},
        }

    def access(self, *, key: str | None = None, alg: str = "HS256", **options: Any) -> str:
        """A signed access token."""
        return signed(self.grant(**options), key or self.server.signing_key_secret, alg=alg)

    def capability_claims(self, *, change: bool = False, **more: object) -> Json:
        """The claims that Twilio's library puts into a worker's capability token."""
        made = WorkerCapabilityToken(
            self.server.account_sid, self.server.auth_token, self.place.sid, self.place.mine.worker_sid
        )
        if change:
            made.allow_update_activities()
            made.allow_update_reservations()
        return {**made.payload, "exp": self.now + 3600, **more}

    def capability(self, *, key: str | None = None, **options: Any) -> str:
        """A signed capability token."""
        return signed(self.capability_claims(**options), key or self.server.auth_token)

    @property
    def _every_path(self) -> list[Json]:
        return [
            {"url": "https://taskrouter.example/v1/**", "method": method, "allow": True}
            for method in ("GET", "POST")
        ]

    def tokens(self, holder: Holder) -> list[str]:
        """Every token that belongs into that column."""
        server = self.server
        match holder:
            case H.WORKER | H.WORKER_ANOTHER | H.WORKER_UNHELD:
                return [self.access(), self.access(alg="HS384"), self.access(alg="HS512")]
            case H.SUPERVISOR | H.SUPERVISOR_ANOTHER | H.SUPERVISOR_UNHELD:
                return [self.access(role="supervisor")]
            case H.ADMIN | H.ADMIN_ANOTHER | H.ADMIN_UNHELD | H.ELSEWHERE | H.FOREIGN_PAGE | H.FOREIGN_HOST:
                return [self.access(role="admin")]
            case H.SUPERVISOR_NOBODY:
                return [self.access(role="supervisor", worker_sid=None)]
            case H.ADMIN_NOBODY:
                return [self.access(role="admin", worker_sid=None)]
            case H.CAPABILITY:
                return [self.capability()]
            case H.CAPABILITY_CHANGE:
                return [self.capability(change=True)]
            case H.CAPABILITY_ANOTHER:
                return [self.capability(policies=self._every_path)]
            case H.CAPABILITY_NONE:
                refusing = [{**line, "allow": False} for line in self._every_path]
                kinds: list[object] = [[], None, refusing, [*self._every_path, *refusing], "all", [1, {}]]
                return [self.capability(policies=policies) for policies in kinds]
            case H.ACCOUNT:
                return [server.auth_token, f"{server.account_sid}:{server.auth_token}"]
            case H.SIGNING_KEY:
                return [server.signing_key_secret, f"{server.signing_key_sid}:{server.signing_key_secret}"]
            case H.WRONG_PASSWORD:
                return ["guess", "guess.guess.guess"]
            case H.NONE:
                return [""]
            case _:
                return self._broken(holder)

    # -- tokens that let nobody in

    def _broken(self, holder: Holder) -> list[str]:
        server, now = self.server, self.now
        admin = self.grant(role="admin")
        full = self.capability_claims(policies=self._every_path)
        ours, theirs = server.signing_key_secret, server.auth_token
        match holder:
            case H.EXPIRED:
                past = now - 60
                return [signed({**admin, "exp": past}, ours), signed({**full, "exp": past}, theirs)]
            case H.NOT_YET:
                soon = now + 60
                return [signed({**admin, "nbf": soon}, ours), signed({**full, "nbf": soon}, theirs)]
            case H.OTHER_ACCOUNT:
                account = "AC" + "e" * 32
                return [
                    signed({**admin, "sub": account}, ours),
                    signed({**full, "account_sid": account}, theirs),
                ]
            case H.OTHER_WORKSPACE:
                return [
                    self.access(role="admin", workspace_sid=self.other.sid),
                    self.access(role="worker", workspace_sid=self.other.sid),
                    self.capability(workspace_sid=self.other.sid, policies=self._every_path),
                ]
            case H.REVOKED:
                gone = self.place.gone
                return [
                    self.access(role="admin", worker_sid=gone),
                    self.access(role="worker", worker_sid=gone),
                    self.access(role="worker", workspace_sid="WS" + "d" * 32),
                    self.capability(worker_sid=gone, policies=self._every_path),
                ]
            case H.OTHER_KEY:
                return [
                    *(signed(admin, key) for key in ("x" * 64, theirs, ours[:-1], ours + "x", ours.upper())),
                    *(signed(full, key) for key in ("x" * 64, ours)),
                    signed({**admin, "iss": "SK" + "e" * 32}, ours),
                    signed({**admin, "iss": server.account_sid}, ours),
                    signed({**full, "iss": server.signing_key_sid}, theirs),
                    signed({**full, "iss": "AC" + "e" * 32}, theirs),
                ]
            case H.ALG_NONE:
                bare = [signed(admin, ours, alg=name) for name in ("none", "None", "NONE", "nOnE", "")]
                return [
                    *bare,
                    *(f"{token.rpartition('.')[0]}." for token in bare),
                    bare[0].rpartition(".")[0],
                ]
            case H.CONFUSED:
                public = (
                    "",
                    server.account_sid,
                    server.signing_key_sid,
                    self.place.sid,
                    server.rest_url,
                    "null",
                )
                key = {"kty": "oct", "k": _part(b"x" * 64)}
                return [
                    *(signed(claims, known) for claims in (admin, full) for known in public),
                    *(
                        signed(admin, ours, alg=alg)
                        for alg in ("RS256", "ES256", "PS256", "EdDSA", "HS1", "hs256")
                    ),
                    signed(admin, "x" * 64, header={"jwk": key}),
                    signed(admin, "x" * 64, header={"jku": "http://127.0.0.1:9/keys", "kid": "/dev/null"}),
                    signed(admin, "", header={"kid": "../../dev/null"}),
                ]
            case H.OVERSIZED:
                return [
                    signed({**admin, "pad": "x" * 12_000}, ours),
                    self.access(role="admin") + "=" * 16_384,
                ]
            case H.MALFORMED:
                return self._malformed()
            case _:
                raise AssertionError(f"no token for {holder}")

    def _malformed(self) -> list[str]:
        ours, theirs = self.server.signing_key_secret, self.server.auth_token
        good = self.grant(role="admin")
        token = signed(good, ours)
        head, body, made = token.split(".")
        broken: list[Json] = [
            *({k: v for k, v in good.items() if k != name} for name in good),
            *({**good, name: value} for name, values in _WRONG_CLAIMS.items() for value in values),
            *(
                {**good, "grants": {"task_router": {**good["grants"]["task_router"], name: value}}}
                for name in ("role", "workspace_sid", "worker_sid")
                for value in _WRONG_TEXTS
            ),
            *(self.grant(role=role) for role in ("root", "Admin", "worker ")),
            self.grant(workspace_sid="WS"),
            self.grant(workspace_sid=self.place.sid.lower()),
            self.grant(worker_sid=None),
            self.grant(worker_sid="WK" + "g" * 32),
        ]
        full = self.capability_claims(policies=self._every_path)
        capability: list[Json] = [
            *(
                {k: v for k, v in full.items() if k != name}
                for name in ("iss", "exp", "account_sid", "workspace_sid", "worker_sid")
            ),
            *(
                {**full, name: value}
                for name in ("workspace_sid", "worker_sid", "account_sid")
                for value in (None, *_WRONG_TEXTS)
            ),
        ]
        theirs_too = (self.server.account_sid, theirs, self.place.sid)
        other_kinds = [
            signed({**made.payload, "exp": self.now + 3600}, theirs)
            for made in (
                WorkspaceCapabilityToken(*theirs_too),
                TaskQueueCapabilityToken(*theirs_too, self.place.task_queue_sid),
            )
        ]
        deep = b'{"a":' * 1_500 + b"1" + b"}" * 1_500
        return [
            *(
                "x",
                ".",
                "..",
                "...",
                "a.b.c",
                "a.b.c.d",
                "null",
                "{}",
                " " * 40,
                "\u20ac.\u20ac.\u20ac",
                "\0" * 9,
            ),
            *(f" {token}", f"{token}\n", f"{token}.", f".{token}", f"{head}.{body}", f"{head}..{made}"),
            *(
                f"{head}.{body}.{made[:-4]}",
                f"{body}.{head}.{made}",
                f"Bearer {token}",
                token.replace(".", " "),
            ),
            *(signed(value, ours) for value in (*_WRONG_BODIES, deep)),
            *(signed(good, ours, header=header) for header in _WRONG_HEADERS),
            *(signed(claims, ours) for claims in broken),
            *(signed(claims, theirs) for claims in capability),
            *other_kinds,
        ]

    # -- headers

    def passwords(self, holder: Holder) -> list[str | None]:
        """Every `Authorization` that belongs into that column; None sends no such header."""
        server = self.server
        account, key = (
            (server.account_sid, server.auth_token),
            (server.signing_key_sid, server.signing_key_secret),
        )
        match holder:
            case H.ACCOUNT | H.ELSEWHERE | H.FOREIGN_PAGE | H.FOREIGN_HOST:
                return [basic(*account)]
            case H.SIGNING_KEY:
                return [basic(*key)]
            case H.WRONG_PASSWORD:
                user, password = account
                return [
                    *(basic(user, guess) for guess in ("", "guess", key[1], password[:-1], password + "x")),
                    *(basic(name, password) for name in ("", key[0], "AC" + "e" * 32, user.lower())),
                    *(f"{kind} {basic(*account).partition(' ')[2]}" for kind in ("Bearer", "Digest", "")),
                    *("Basic", "Basic ", "Basic ?", "Basic " + "A" * 5_000, basic(*account) + "!"),
                    f"{user}:{password}",
                ]
            case H.NONE:
                return [None, ""]
            case _:
                # As the password of the key that made it, too: as some clients do with tokens.
                shown = [token for token in self.tokens(holder) if token.isascii() and token.isprintable()]
                headers = [f"Bearer {token}" for token in shown] + [basic(key[0], token) for token in shown]
                return [header for header in headers if len(header) < LONGEST_HEADER]
