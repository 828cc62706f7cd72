"""The root of the command line: which commands exist, and what each outcome is to a script.

Exit status 0 means accepted (or done) and nothing else may end in it. Click has three ways to end in 0 without deciding
anything, and each is closed here: an operand called ``--help`` (or ``--version``) counts only as the sole argument
after the command, completion answers only where no argument is given, and nothing runs in the standalone mode, which
would turn errors, Ctrl-C and a closed pipe into 1.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from facecli.cli import _output
from facecli.errors import ExitStatus, FacecliError, OutputError, SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "enroll": "Add a person to the gallery from one or more photographs.",
    "verify": "Decide whether two faces are the same person's.",
    "identify": "Find out who is on a photograph.",
    "gallery": "Look after the enrolled people.",
    "models": "List, fetch and add models.",
    "detect": "Find the faces of photographs.",
    "embed": "Compute the templates of faces.",
    "compare": "Compare every photograph with every other one, for other tools.",
    "evaluate": "Measure how good a system is on labelled data.",
    "calibrate": "Set operating points from your own people.",
    "doctor": "Check this installation, device, models and gallery.",
    "config": "Show the settings and where each comes from.",
}
"""Every command with its one-line help, so that ``facecli --help`` need not import them."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; its module and its function are named alike."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"facecli.cli.{cmd_name}")
        command = getattr(module, f"{cmd_name}_command")
        if not isinstance(command, click.Command):
            raise TypeError(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    """Print the installed version; that none is installed is an ImportError, and told as such."""
    if wanted and not context.resilient_parsing:
        from importlib import metadata

        click.echo(f"facecli {metadata.version('facecli')}")
        context.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    epilog="Exit status 0 means accepted, and nothing else does. `facecli COMMAND --help` has examples.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def root() -> None:
    """Verify and identify faces from the shell.

    \b
      facecli enroll alice alice.jpg
      facecli verify -- "$PHOTO" alice.jpg
      facecli identify --top 5 -- "$PHOTO"
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status.

    Parameters
    ----------
    arguments
        As after the program's name.
    """
    context = _Call(list(arguments))
    try:
        status: int = context.run()
        _output.flush()
    except BaseException as error:  # noqa: BLE001 (the root: every way out must have its own status)
        status = context.explain(error)
    return _leave(status)


class _Call:
    """One run of the program: its arguments and how its failure is told."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        before_operands = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self.options = before_operands
        self.wants_json = "--json" in before_operands
        self.command = next((a for a in arguments if a in COMMANDS), "error")

    def run(self) -> ExitStatus:
        """Parse and run; every command returns its status, and one that returns nothing is a bug, not a success."""
        _secure_streams()
        if not self.arguments:
            return _complete()
        self._refuse_help_among_operands()
        with _libraries_silent(), root.make_context("facecli", list(self.arguments)) as context:
            return ExitStatus(root.invoke(context))

    def _refuse_help_among_operands(self) -> None:
        """Let ``--help`` and ``--version`` count only as the sole argument after the command."""
        for flag in ("--help", "--version"):
            if flag in self.options and not self._is_sole(flag):
                raise UsageError(
                    f"{flag} stands among other arguments, where it could hide a decision",
                    hint=f"for help, give it alone; for a file of that name: facecli {self.command} -- {flag}",
                )

    def _is_sole(self, flag: str) -> bool:
        """Say whether only names of commands stand before ``flag``, and nothing after it."""
        *path, last = self.arguments
        command: click.Command | None = root
        for name in path:
            command = command.get_command(click.Context(command), name) if isinstance(command, click.Group) else None
        return last == flag and command is not None

    def explain(self, error: BaseException) -> int:
        """Say what went wrong, in one sentence, and return its status."""
        try:
            return self._explain(error)
        except BrokenPipeError:
            return ExitStatus.OUTPUT_CLOSED
        except OSError:
            return ExitStatus.CANT_WRITE

    def _explain(self, error: BaseException) -> int:
        """Map every kind of ending to the contract."""
        if isinstance(error, click.exceptions.Exit):
            _output.flush()
            return error.exit_code
        if isinstance(error, (KeyboardInterrupt, click.Abort)):
            _output.complain("interrupted")
            return ExitStatus.INTERRUPTED
        if isinstance(error, BrokenPipeError):
            return ExitStatus.OUTPUT_CLOSED
        known = _as_facecli_error(error)
        if known is None:
            return _internal_error(error)
        _output.complain(known.message, hint=known.hint)
        if self.wants_json:
            _output.emit_failure(self.command, known)
        _output.flush()
        return known.status


def _complete() -> ExitStatus:
    """Answer a shell that asks for completion; a person who gives no argument is shown the help."""
    try:
        root.main([], prog_name="facecli", standalone_mode=False)
    except SystemExit as done:
        return ExitStatus.ACCEPTED if done.code == 0 else ExitStatus.USAGE
    return ExitStatus.USAGE


def _secure_streams() -> None:
    """Refuse to start without an output, print whatever there is to print, and leave none of the handles 0, 1, 2 free.

    A file opened next would get the free handle, and whatever a library prints there would be written into it.

    Raises
    ------
    OutputError
        Standard output is closed, so no answer could be given.
    """
    for handle in (0, 1, 2):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error
    if sys.stdout is None:
        raise OutputError("standard output is closed", hint="to see no output, use >/dev/null")


@contextmanager
def _libraries_silent() -> Iterator[None]:
    """Send what C libraries write to handle 2 nowhere, and our own sentences to a copy of it.

    libjpeg and libpng have no other place for their words on a damaged photograph. ``python -X dev`` lets them speak.
    """
    ours = sys.stderr
    if ours is None or sys.flags.dev_mode:
        yield
        return
    ours.flush()
    kept = os.dup(2)
    try:
        _discard(2)
        with open(kept, "w", encoding=ours.encoding, errors="backslashreplace", buffering=1, closefd=False) as copy:
            sys.stderr = copy
            yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)


def _as_facecli_error(error: BaseException) -> FacecliError | None:
    """Turn what Click and the system raise into our own errors; None is a bug."""
    if isinstance(error, FacecliError):
        return error
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "facecli"
        return UsageError(error.format_message(), hint=f"try: {where} --help")
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    return _of_the_system(error)


def _of_the_system(error: BaseException) -> FacecliError | None:
    """Tell what is no bug of ours, but a machine that is full, broken or incompletely set up."""
    if isinstance(error, MemoryError) or str(error) == "can't start new thread":
        return SetupError("there is not enough memory for this", hint="free some, or use a smaller photograph")
    if isinstance(error, ImportError):
        return SetupError(f"a library can't be loaded: {error}", hint="install facecli again: pip install facecli")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EBADF}:
        return OutputError(f"can't write the output: {error.strerror}")
    if isinstance(error, OSError):
        return SetupError(f"the system refused something that facecli needs: {error}", hint="run facecli doctor")
    return None


def _internal_error(error: BaseException) -> int:
    """Report a bug: one line, and the place where it happened, for the report."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    _output.complain(
        f"internal error: {type(error).__name__}: {error}{where}",
        hint="this is a bug in facecli; nothing was accepted. Please report it with the command that you ran",
    )
    return ExitStatus.INTERNAL


def _leave(status: int) -> int:
    """Make sure that Python's own shutdown can't change the status: it flushes again, and fails with 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            _discard(stream.fileno() if not stream.closed else -1)
            status = status or ExitStatus.OUTPUT_CLOSED
    return int(status)


def _discard(handle: int) -> None:
    """Point a broken stream to nowhere, so that what is left in its buffer does no more harm."""
    if handle >= 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handle)
        os.close(nowhere)
