"""The server side: tokens for those who log in, and answers to TaskRouter's callbacks.

Run it with ``uvicorn --factory examples.contact_center_app.service:from_environment``.
"""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from twilio.request_validator import RequestValidator

from taskrouter_worker import worker_token

TOKEN_SECONDS = 3600
MAX_BODY = 100_000


@dataclass(frozen=True)
class Login:
    """Somebody who may have a token.

    Attributes:
        worker_sid: the worker that the token acts as.
        salt: made anew for each password.
        key: the password, derived with `derived_key`.
    """

    worker_sid: str
    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, worker_sid: str, password: str) -> Self:
        """The login to keep for a password."""
        salt = secrets.token_bytes(16)
        return cls(worker_sid, salt, derived_key(password, salt))


@dataclass(frozen=True)
class Config:
    """What the service knows of the account and of itself."""

    account_sid: str
    auth_token: str = field(repr=False)
    signing_key_sid: str
    signing_key_secret: str = field(repr=False)
    workspace_sid: str
    public_url: (
        str  # as TaskRouter calls it: a proxy in front changes what the request says, and it is signed
    )
    caller_id: str
    logins: Mapping[str, Login]


class EventStore:
    """The events that TaskRouter has told, each once."""

    def __init__(self, database: str) -> None:
        self._connection = sqlite3.connect(database, check_same_thread=False)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS events "
            "(sid TEXT PRIMARY KEY, task_sid TEXT, type TEXT, at_ms INTEGER)"
        )

    def add(self, event: Mapping[str, str]) -> None:
        """Keep an event; one that comes again is left alone."""
        row = (event["Sid"], event.get("TaskSid"), event["EventType"], int(event["TimestampMs"]))
        with self._connection:
            self._connection.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", row)

    def of_task(self, task_sid: str) -> list[str]:
        """The types of a task's events, oldest first."""
        found = self._connection.execute(
            "SELECT type FROM events WHERE task_sid = ? ORDER BY at_ms, rowid", (task_sid,)
        )
        return [kind for (kind,) in found]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def derived_key(password: str, salt: bytes) -> bytes:
    """What is kept instead of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def instruction_for(attributes: Mapping[str, Any], caller_id: str) -> dict[str, str]:
    """What shall become of an offer: calls ring at the worker's phone, the rest is taken at once."""
    if "call_sid" in attributes:
        return {"instruction": "dequeue", "from": caller_id}
    return {"instruction": "accept"}


def create_app(config: Config, events: EventStore) -> FastAPI:
    """The service."""
    app = FastAPI(title="Contact centre")
    app.state.events = events
    validator = RequestValidator(config.auth_token)
    nobody = Login.of("", secrets.token_urlsafe())  # unknown names take as long as known ones

    async def signed_form(request: Request) -> dict[str, str]:
        """The parameters of a callback that Twilio has signed."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise HTTPException(413, "too long")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        signature = request.headers.get("X-Twilio-Signature", "")
        url = config.public_url + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if not validator.validate(url, form, signature):
            raise HTTPException(403, "this was not signed by Twilio")
        return form

    @app.post("/token")
    def token(
        given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())], response: Response
    ) -> dict[str, str | int]:
        # A plain function: FastAPI runs it in a thread, where deriving the key holds up nobody.
        login = config.logins.get(given.username, nobody)
        fits = hmac.compare_digest(derived_key(given.password, login.salt), login.key)
        if not fits or login is nobody:
            raise HTTPException(401, "wrong name or password", headers={"WWW-Authenticate": "Basic"})
        response.headers["Cache-Control"] = "no-store"
        made = worker_token(
            account_sid=config.account_sid,
            signing_key_sid=config.signing_key_sid,
            signing_key_secret=config.signing_key_secret,
            workspace_sid=config.workspace_sid,
            worker_sid=login.worker_sid,
            identity=given.username,
            lifetime=TOKEN_SECONDS,
        )
        return {"token": made, "expires_in": TOKEN_SECONDS}

    @app.post("/callbacks/assignment")
    async def assignment(form: Annotated[dict[str, str], Depends(signed_form)]) -> dict[str, str]:
        return instruction_for(json.loads(form["TaskAttributes"]), config.caller_id)

    @app.post("/callbacks/events", status_code=204)
    async def event(form: Annotated[dict[str, str], Depends(signed_form)]) -> None:
        events.add(form)

    return app


def from_environment() -> FastAPI:
    """The service as the environment describes it.

    LOGINS is a JSON object: ``{"NAME": ["WK...", "SALT", "KEY"]}``, salt and key in hexadecimal digits.
    """
    env = os.environ
    logins = {
        name: Login(sid, bytes.fromhex(salt), bytes.fromhex(key))
        for name, (sid, salt, key) in json.loads(env["LOGINS"]).items()
    }
    config = Config(
        account_sid=env["TWILIO_ACCOUNT_SID"],
        auth_token=env["TWILIO_AUTH_TOKEN"],
        signing_key_sid=env["TWILIO_API_KEY"],
        signing_key_secret=env["TWILIO_API_SECRET"],
        workspace_sid=env["TASKROUTER_WORKSPACE_SID"],
        public_url=env["PUBLIC_URL"],
        caller_id=env["CALLER_ID"],
        logins=logins,
    )
    return create_app(config, EventStore(env.get("DATABASE", "events.db")))
