"""The program `head2toe`: its commands, and what becomes of errors."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from head2toe.cli.cache import cache
from head2toe.cli.compare import compare
from head2toe.cli.demo import demo
from head2toe.cli.evaluate import evaluate
from head2toe.cli.experiment import experiment
from head2toe.cli.extract import extract
from head2toe.cli.fit import fit
from head2toe.cli.layers import layers
from head2toe.cli.output import INTERRUPTED
from head2toe.cli.predict import predict
from head2toe.cli.vtab import vtab
from head2toe.errors import Head2ToeError

SPINS = "1000"  # of a thread that waits; by default as many as take milliseconds


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from head2toe import __version__  # which knows what to say where there is no installation

    click.echo(f"head2toe {__version__}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def program() -> None:
    """A better linear probe: the useful features of all layers of a frozen network, and one small linear head.

    DATA is a folder with a subfolder a class; a CSV with columns path (or file) and label (or class_name); a zip of
    either; or an .npz with images and labels. For text, a CSV with columns text and label; for recordings, a folder or
    CSV of .wav files.
    """


for command in (fit, evaluate, predict, compare, layers, extract, cache, demo, experiment, vtab):
    program.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit code: 0; 2 for a mistake of the user's, told in one line on standard error; 130 after Ctrl-C. Where the
        reader of the output has left (`head2toe predict ... | head -1`) the process ends with 1, without a word.
    """
    _wait_asleep()
    _open_streams()
    with _notes_on_standard_error(), _any_name_on_standard_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return program.main(arguments, prog_name="head2toe", standalone_mode=False) or 0
    except Head2ToeError as error:
        return _complain(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "head2toe"
        return _complain(f"{error.format_message()} Try: {where} --help", error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except OSError as error:
        return _complain(f"{error.filename or 'the output'} cannot be read or written: {error.strerror or error}", 2)
    except click.Abort:
        return _complain("interrupted", INTERRUPTED)


def _open_streams() -> None:
    """Let what is printed where nothing listens (a stream that was closed) be lost, as other programs do."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _wait_asleep() -> None:
    """Let threads that wait for one another fall asleep soon, unless the user has said how they are to wait.

    They spin for milliseconds otherwise, which costs a machine that is busy with something else most of its speed
    (`benchmarks/bench_busy.py`; where nothing else runs it costs a little). OpenMP reads this when PyTorch is imported.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = SPINS


@contextmanager
def _notes_on_standard_error() -> Iterator[None]:
    """Show the library's log, at the level that --progress sets, and none of Pillow's warnings."""
    logger, handler = logging.getLogger("head2toe"), logging.StreamHandler()
    levels = {one: one.level for one in (logger, logging.getLogger("head2toe.estimators"))}  # that options may set
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of large pictures and odd metadata
            yield
    finally:
        logger.removeHandler(handler)
        for one, level in levels.items():
            one.setLevel(level)


@contextmanager
def _any_name_on_standard_output() -> Iterator[None]:
    """Print names of files that are no text as their bytes, and what the terminal's encoding lacks with backslashes."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before, unicode = stream.errors, codecs.lookup(stream.encoding).name == "utf-8"
    stream.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")
    try:
        yield
    finally:
        try:
            stream.reconfigure(errors=before)  # which writes what is left
        except OSError:  # told already, or its reader has left
            _let_be_lost(stream)
            stream.reconfigure(errors=before)


def _let_be_lost(stream: io.TextIOWrapper) -> None:
    """What could not be written waits in the stream, and would fail once more when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}{_names_misread(message)}", file=sys.stderr)  # noqa: T201 - this is what the user reads
    return code


def _names_misread(message: str) -> str:
    """Advice where the message is of a name in UTF-8 and the system reads names in an encoding of its own."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8" or message.isascii():
        return ""
    return f" (names are read as {encoding} here: set PYTHONUTF8=1 where they are in UTF-8)"
