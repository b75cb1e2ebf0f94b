"""``taskrouter-stub seed``, `reset`, `snapshot`, `export` and `import`: the state of a running server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from server_stub.domain.errors import InvalidArgument
from server_stub.domain.model import Limits
from server_stub.seeding import Problem, SeedError, read_source
from server_stub.state.names import check_snapshot_name
from taskrouter_worker.terms import SidPrefix, is_sid

from .remote import (
    EPILOG,
    MISUSED,
    UNKNOWN,
    Json,
    Stop,
    add_url,
    connection,
    credentials,
    default_workspace,
    fetch,
    plain,
)
from .showing import read_input, show_json, show_line, show_text

__all__ = ["COMMANDS", "add_state_commands", "run_state_command", "show_problems"]

COMMANDS: Final = frozenset({"seed", "reset", "snapshot", "export", "import"})

DONE, PROBLEMS = range(2)
"""Exit statuses, as the help explains them; the others are `remote`'s."""

SECONDS: Final = 120.0
"""How long the server may take over a large document."""

_EPILOG: Final = f"""\
{EPILOG}
Exit status: 0 done; 1 the seed has problems, each of which is told; 2 wrong use; 3 the server cannot be
reached or failed; 4 no such workspace or snapshot; 5 the credentials were refused.
"""


_EXAMPLES: Final = {
    "seed": "  taskrouter-stub seed desk.yaml\n  taskrouter-stub seed desk.yaml --check --json\n",
    "reset": "  taskrouter-stub reset\n",
    "snapshot": "  taskrouter-stub snapshot save monday\n  taskrouter-stub snapshot restore monday\n"
    "  taskrouter-stub snapshot list --json\n",
    "export": "  taskrouter-stub export desk.json\n  taskrouter-stub export - > desk.json\n",
    "import": "  taskrouter-stub import desk.json\n",
}


def add_state_commands(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the commands to the program's."""

    def command(
        name: str, summary: str, detail: str, *, of_workspace: bool = True
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(
            name,
            help=summary,
            description=detail,
            epilog=f"Examples:\n{_EXAMPLES[name]}\n{_EPILOG.format(environment)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_url(parser, environment)
        if of_workspace:
            parser.add_argument(
                "--workspace",
                metavar="WORKSPACE_SID",
                default=default_workspace(environment),
                help="this workspace only, instead of all",
            )
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")
        return parser

    seed = command(
        "seed",
        "set a running server to a seed file",
        "Set everything on a running server to a seed file, to which reset goes back from then on.",
        of_workspace=False,
    )
    seed.add_argument("file", metavar="FILE", type=Path, help="YAML, TOML or JSON, by its name")
    seed.add_argument("--check", action="store_true", help="only tell what is wrong with it; asks no server")

    command("reset", "back to the seed", "Set a running server, or a workspace, back to its seed.")

    snapshot = command(
        "snapshot",
        "keep a state under a name, and go back to it",
        "Keep the state of a running server, or of a workspace, in its memory, and go back to it.",
    )
    snapshot.add_argument("action", choices=("save", "restore", "list"), help="what to do")
    snapshot.add_argument("name", metavar="NAME", nargs="?", help="the snapshot's")

    export = command("export", "write the state to a file", "Write the state of a running server to a file.")
    export.add_argument("file", metavar="FILE", help="where to; - for the standard output")

    into = command(
        "import",
        "put back the state in a file",
        "Put back a state that was exported, from this server or another one.",
    )
    into.add_argument("file", metavar="FILE", help="where from; - for the standard input")


def run_state_command(options: argparse.Namespace, environment: str) -> int:
    """Carry out one of the commands; its exit status. Raises Stop."""
    if options.command == "seed" and options.check:
        return _check(options)
    _refuse_misuse(options)
    known = credentials(environment)
    return asyncio.run(_carry_out(options, known, _input(options)))


def _refuse_misuse(options: argparse.Namespace) -> None:
    # A path with ".." in it would lead to something else: a reset of one workspace to that of all.
    workspace = getattr(options, "workspace", None)
    if workspace == "":  # of a variable that is not set: it does not mean all
        raise Stop(MISUSED, "the SID of the workspace is empty")
    if workspace and not is_sid(workspace, SidPrefix.WORKSPACE):
        raise Stop(UNKNOWN, f"no workspace has the SID {workspace!r}: it is WS and 32 hexadecimal digits")
    if options.command != "snapshot":
        return
    if (options.name is None) != (options.action == "list"):
        wanted = "no NAME" if options.action == "list" else "a NAME"
        raise Stop(MISUSED, f"snapshot {options.action} takes {wanted}")
    if options.name is not None:
        try:
            check_snapshot_name(options.name)
        except InvalidArgument as error:
            raise Stop(MISUSED, str(error)) from None


async def _carry_out(options: argparse.Namespace, known: tuple[str, str], body: bytes | None) -> int:
    async with connection(options.url, known, seconds=SECONDS) as http:
        answer = await fetch(http, _address(options), method=_method(options), body=body)
    if answer is None:
        workspace = getattr(options, "workspace", None)
        what = f"snapshot {options.name}" if options.command == "snapshot" and options.name else "such thing"
        what = f"{what} of workspace {workspace}" if workspace else what
        raise Stop(UNKNOWN, f"the server knows no {what}")
    if "details" in answer:
        problems = [msgspec.convert(problem, Problem) for problem in answer["details"]["problems"]]
        return _refused(options, problems)
    if options.command == "export":
        _output(options, answer)
    else:
        _tell(options, answer)
    return DONE


def _method(options: argparse.Namespace) -> str:
    reads = options.command == "export" or (options.command == "snapshot" and options.action == "list")
    return "GET" if reads else "POST"


def _address(options: argparse.Namespace) -> str:
    base = options.url.rstrip("/") + "/stub"
    if options.command == "seed":
        return f"{base}/seed?Name={quote(str(options.file), safe='')}"
    if options.workspace:
        base += f"/workspaces/{quote(options.workspace, safe='')}"
    match options.command:
        case "reset":
            return f"{base}/reset"
        case "snapshot" if options.action == "list":
            return f"{base}/snapshots"
        case "snapshot" if options.action == "restore":
            return f"{base}/reset?Snapshot={quote(options.name, safe='')}"
        case "snapshot":
            return f"{base}/snapshots/{quote(options.name, safe='')}"
        case _:
            return f"{base}/state"


def _input(options: argparse.Namespace) -> bytes | None:
    """What the command sends: the content of its file."""
    if options.command not in ("seed", "import"):
        return None
    if str(options.file) == "-":
        return read_input()
    try:
        return Path(options.file).read_bytes()
    except OSError as error:
        raise Stop(MISUSED, f"cannot read {options.file}: {error.strerror}") from None


def _output(options: argparse.Namespace, document: Json) -> None:
    text = json.dumps(document, indent=None)
    if options.file == "-":
        show_text(text)
        return
    try:
        Path(options.file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Stop(MISUSED, f"cannot write {options.file}: {error.strerror}") from None
    sids = [stored["workspace"]["sid"] for stored in document["workspaces"]]
    if options.json:
        show_json({"file": options.file, "workspaces": sids})
    else:
        _print_line(f"{_workspaces(sids)} written to {options.file}", sids)


def _tell(options: argparse.Namespace, answer: Json) -> None:
    if options.json:
        show_json(answer)
        return
    if options.command == "snapshot" and options.action == "list":
        number = len(answer["snapshots"])
        _print_line(f"{number} snapshot{'s' * (number != 1)}", answer["snapshots"])
    elif options.command == "snapshot" and options.action == "save":
        _print_line(f"the state is kept as {options.name}", [])
    else:
        done = {"seed": "seeded", "reset": "reset", "snapshot": "restored", "import": "imported"}
        sids = answer["workspaces"]
        _print_line(f"{_workspaces(sids)} {done[options.command]}", sids)


def _workspaces(sids: Sequence[str]) -> str:
    return f"{len(sids)} workspace{'s' * (len(sids) != 1)}"


def _check(options: argparse.Namespace) -> int:
    """Look for problems without a server."""
    from server_stub.seeding.trial import try_out  # noqa: PLC0415 - it loads the domain, which the others do without

    body = _input(options)
    try:
        try_out(read_source(body or b"", name=str(options.file)), limits=Limits())
    except SeedError as error:
        return _refused(options, error.problems)
    if options.json:
        show_json({"problems": []})
    else:
        _print_line(f"{options.file} has no problems", [])
    return DONE


def _refused(options: argparse.Namespace, problems: Sequence[Problem]) -> int:
    if options.json:
        show_json({"problems": [msgspec.to_builtins(problem) for problem in problems]})
    else:
        show_problems(problems)
    return PROBLEMS


def show_problems(problems: Sequence[Problem]) -> None:
    """Print every problem of a seed, as compilers do: editors find the place."""
    try:
        from rich.console import Console  # noqa: PLC0415 - part of the extra "server"
        from rich.text import Text  # noqa: PLC0415 - the same
    except ImportError:
        for problem in problems:
            print(plain(str(problem)), file=sys.stderr)
        return
    console = Console(highlight=False, stderr=True, soft_wrap=True)
    for problem in problems:
        place = problem.file if problem.line is None else f"{problem.file}:{problem.line}:{problem.column}"
        line = Text.assemble((f"{plain(place)}: ", "bold"))
        if problem.path:
            line.append(f"{plain(problem.path)}: ", "cyan")
        line.append(plain(problem.message), "red")
        if problem.hint:
            line.append(f" ({plain(problem.hint)})", "green")
        console.print(line)


def _print_line(text: str, items: Sequence[str]) -> None:
    show_line((text, "bold"))
    for item in items:
        show_line((f"  {item}", "cyan"))
