"""Options that every command shares, and how a command ends."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import click

from cyberterr.errors import OUR_OWN_ERROR, CyberterrError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""
PIPED_WIDTH = 120
"""columns of a table that goes to a file or a pipe"""
_DEBUG = "cyberterr.debug"

store_option = click.option(
    "--store",
    "store_url",
    metavar="URL",
    help="Where findings live: sqlite:///PATH, or https://HOST:9200 for Elasticsearch"
    " [default: cyberterr.db in the data folder].",
)
config_option = click.option(
    "--config",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file [default: settings.toml in the data folder].",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write, readable by you only.",
)
lang_option = click.option(
    "--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Language."
)


def _note_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_DEBUG] = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_note_debug,
    help="Show the traceback of an error of our own.",
)


def handle_errors(command: Callable[P, R]) -> Callable[P, R]:
    """End *command* as `docs/reference` promises: words on stderr, an exit code, no traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            sys.stdout.flush()  # a reader that went away shows here, not at exit
            return result
        except CyberterrError as error:
            _end(f"cyberterr: {error}", error.exit_code)
        except BrokenPipeError:
            # Whoever read our output has enough: that is no error, and nothing to talk about.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if _wants_traceback():
                traceback.print_exc()
            told = " ".join(str(error).split())[:200]
            _end(
                f"cyberterr: our own error: {type(error).__name__}: {told} (more with --debug)",
                OUR_OWN_ERROR,
            )

    return guarded


def say(text: str) -> None:
    """Print *text* on stderr, where talk goes; hostile characters become their escapes."""
    from cyberterr.pipeline.findings import plain

    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        click.echo(indent + plain(line, 2000), err=True)


def console() -> Console:
    """A console on stdout that obeys no markup, and is wide enough where nobody looks."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1
            raise BrokenPipeError

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Piped(markup=False, emoji=False, highlight=False, width=width)


def _end(text: str, code: int) -> NoReturn:
    say(text)
    sys.exit(code)


def _wants_traceback() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_DEBUG))
