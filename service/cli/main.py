"""The command line's entry point: run one command, say what came of it, return its exit code."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from service import __version__
from service.cli import (
    answers,
    archives,
    catalogues,
    decisions,
    describe,
    explore,
    finetune,
    hygiene,
    ingest,
    keys,
    machine,
    optimise,
    serve,
    upkeep,
    verification,
)
from service.cli.failures import DONE, FAILED, READER_GONE, Interrupted, tell
from service.cli.options import DataDirOption, JsonOption, TenantOption, group_options, wants_json
from service.cli.output import Output, UnwritableOutput
from service.cli.session import Session

app = typer.Typer(name="holotype", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _show_version(context: typer.Context, value: bool) -> None:
    if value:
        Session.of(context.obj).output.result({"version": __version__}, f"holotype {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def root(
    context: typer.Context,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    tenant: TenantOption = None,
    version: Annotated[  # noqa: ARG001  its callback speaks
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True, show_default=False),
    ] = False,
) -> None:
    """Which class is this image? Holotype answers by a few well chosen reference images.

    Two commands to begin with: `holotype ingest NAME FOLDER`, then `holotype classify NAME PICTURE`.

    Exit codes: 0 done, 1 the job or every item failed, 2 wrong use, 3 no such thing, 4 in use,
    130 interrupted by Ctrl-C, 141 whoever read the output has gone.
    """
    group_options(context, as_json=as_json, data_dir=data_dir, tenant=tenant)


app.add_typer(catalogues.app, name="catalogue")
app.add_typer(keys.app, name="key")
for group in (
    ingest.app,
    optimise.app,
    finetune.app,
    answers.app,
    verification.app,
    explore.app,
    describe.app,
    hygiene.app,
    decisions.app,
    archives.app,
    upkeep.app,
    serve.app,
    machine.app,
):
    app.add_typer(group)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. `arguments` without the program's name, default: the process's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json=wants_json(given))
    try:
        with output.kept_clean():
            return _run(given, output)
    except UnwritableOutput as error:
        # What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.reader_gone:
            return READER_GONE
        output.note(f"holotype: {error}")
        return FAILED


def program() -> NoReturn:
    """The process: `main`, then an end at once, since taking PyTorch's thousands of modules apart takes a second."""
    code: list[int] = []
    atexit.register(_leave, code)  # the first to be registered is the last to run
    code.append(main())
    sys.exit(code[0])


def _leave(code: Sequence[int]) -> None:
    """After all else that had to be done at the end. What cannot be written, Python itself tells, in its slower end."""
    if not code:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # one that was closed before the process began
                stream.flush()
    except OSError:
        return
    logging.shutdown()  # logging was there first, so its own turn would come afterwards
    os._exit(code[0])


def _run(arguments: list[str], output: Output) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="holotype", standalone_mode=False, obj=Session(output))
        return code if isinstance(code, int) else DONE
    except UnwritableOutput:
        raise
    except SystemExit as error:  # Typer's way to say that the reader of a help text has gone
        if isinstance(error.__context__, BrokenPipeError):
            raise UnwritableOutput(error.__context__) from error
        raise
    except KeyboardInterrupt as error:
        return tell(Interrupted(str(error)), output)
    except Exception as error:  # noqa: BLE001  the last place where an error can still be told as one sentence
        return tell(error, output)


if __name__ == "__main__":
    program()
