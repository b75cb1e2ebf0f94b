"""Play the scenarios against a real account or a local server, and tell what differs.

``python -m tests.conformance --target=local`` starts a server of its own. ``--target=twilio`` uses
the account that TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN name, or TWILIO_ACCOUNT_SID with an API key in
TWILIO_API_KEY and TWILIO_API_SECRET; it makes one workspace under a new name, and deletes it at the end.
Run both with ``--json`` and compare the notes: they hold what TaskRouter's documentation leaves open.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from server_stub import Settings
from tests.conformance.desk import Desk, Refuted, desk_of
from tests.conformance.scenarios import SCENARIOS
from tests.support import ServerInThread, close_client, rest_client

Connect = Callable[[], Client]


def main(
    argv: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    connect: Callable[..., Client] = Client,
) -> int:
    """Run the command; 0 if everything is as the scenarios say, 1 if not, 2 if it could not begin."""
    title, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=title,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", choices=("twilio", "local"), required=True)
    parser.add_argument("--json", action="store_true", help="print the results and the notes as JSON")
    parser.add_argument("scenario", nargs="*", help=f"only these: {', '.join(s.__name__ for s in SCENARIOS)}")
    options = parser.parse_args(argv)
    chosen = [s for s in SCENARIOS if not options.scenario or s.__name__ in options.scenario]
    if unknown := set(options.scenario) - {s.__name__ for s in SCENARIOS}:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    try:
        with _twilio(environment, connect) if options.target == "twilio" else _local() as client:
            results, notes = _played(client, chosen, quiet=options.json)
    except _NoCredentials as error:
        print(f"python -m tests.conformance: {error}", file=sys.stderr)
        return 2
    except TwilioException as error:
        print(
            f"python -m tests.conformance: the account refused to begin or to end: {error}", file=sys.stderr
        )
        return 2
    if options.json:
        print(json.dumps({"target": options.target, "results": results, "notes": notes}, indent=2))
    else:
        for name, value in notes.items():
            print(f"note  {name}: {value}")
        good = sum(problem is None for problem in results.values())
        print(f"{good} of {len(results)} scenarios hold against {options.target}")
    return int(any(results.values()))


class _NoCredentials(Exception):
    """Nobody said which account."""


@contextmanager
def _twilio(environment: Mapping[str, str], connect: Callable[..., Client]) -> Iterator[Client]:
    account = environment.get("TWILIO_ACCOUNT_SID")
    token = environment.get("TWILIO_AUTH_TOKEN")
    key, secret = environment.get("TWILIO_API_KEY"), environment.get("TWILIO_API_SECRET")
    if account and token:
        arguments: tuple[str, ...] = (account, token)
    elif account and key and secret:
        arguments = (key, secret, account)
    else:
        raise _NoCredentials(
            "--target=twilio works on a real account and needs its credentials: set TWILIO_ACCOUNT_SID and "
            "TWILIO_AUTH_TOKEN, or TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET"
        )
    client = connect(*arguments, http_client=TwilioHttpClient(timeout=30))
    try:
        yield client
    finally:
        close_client(client)


@contextmanager
def _local() -> Iterator[Client]:
    with ServerInThread(Settings(port=0)) as server:
        client = rest_client(server)
        try:
            yield client
        finally:
            close_client(client)


def _played(
    client: Client, scenarios: Sequence[Callable[[Desk], None]], *, quiet: bool
) -> tuple[dict[str, str | None], dict[str, str]]:
    """What is wrong by scenario, None where nothing is; and the notes."""
    results: dict[str, str | None] = {}
    with desk_of(client) as desk:
        for scenario in scenarios:
            problem: str | None = None
            try:
                scenario(desk)
            except Refuted as refuted:
                problem = str(refuted)
            except Exception as error:  # noqa: BLE001 - one scenario that breaks must not leave the workspace behind
                problem = "".join(traceback.format_exception_only(error)).strip()
            results[scenario.__name__] = problem
            if not quiet:
                title = (scenario.__doc__ or "").strip()
                print(
                    f"{'ok   ' if problem is None else 'FAIL '} {scenario.__name__}: {problem or title}",
                    flush=True,
                )
        return results, desk.notes


if __name__ == "__main__":
    sys.exit(main())
