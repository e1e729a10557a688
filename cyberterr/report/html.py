"""One self-contained page: no network, no script, in English and French, on screen and on paper."""

from __future__ import annotations

import contextlib
import errno
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyberterr.contracts.finding import Finding, Severity
from cyberterr.contracts.run import Run
from cyberterr.errors import CyberterrError, UsageError
from cyberterr.report import pictures, text, words
from cyberterr.report.text import Lang

if TYPE_CHECKING:
    from jinja2 import Environment, Template

LIMITS_SHOWN = 5
"""the losses of this scan come first; a click, or paper, shows all"""
ALARMS_SHOWN = 300
CONTEXT_SHOWN = 200
"""a page of more is not read, and would not open; the store has them all"""


def write(path: Path, findings: Sequence[Finding], run: Run, lang: Lang = "en") -> None:
    """Write the report of *findings* to *path*, whole or not at all; *lang* is shown first.

    Raises:
        UsageError: *path* lies in no folder, may not be written, or is no ordinary file.
        CyberterrError: the disk is full or fails.
    """
    written(path, render(findings, run, lang).encode())


def written(path: Path, content: bytes) -> None:
    """Write *content* to *path*, whole or not at all.

    Raises:
        UsageError, CyberterrError: as for `write`.
    """
    # Beside the target, because a rename is only atomic within one file system.
    part = path.parent / f".cyberterr-{secrets.token_hex(6)}.part"
    try:
        if path.exists() and not path.is_file():
            raise UsageError(
                "the report can only be written to an ordinary file",
                hint="name a file, for example report.html",
                where=str(path),
            )
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        raise _explained(error, path) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()  # gone already where all went well


def render(findings: Sequence[Finding], run: Run, lang: Lang = "en") -> str:
    """The page as text; every text of a finding may come from an attacker and is escaped."""
    from markupsafe import Markup

    ordered = sorted(findings, key=Finding.rank)
    alarms = [f for f in ordered if f.severity >= Severity.MEDIUM]
    context = [f for f in ordered if f.severity < Severity.MEDIUM]
    languages: tuple[Lang, Lang] = ("en", "fr")
    names: dict[str, Any] = {
        "run": run,
        "first_lang": lang,
        "languages": languages,
        "alarms": alarms[:ALARMS_SHOWN],
        "context": context[:CONTEXT_SHOWN],
        "more_alarms": len(alarms[ALARMS_SHOWN:]),
        "more_context": len(context[CONTEXT_SHOWN:]),
        "verdict": {each: words.verdict(findings, run, each) for each in languages},
        "limits": {each: words.limits(run, each) for each in languages},
        "limits_shown": LIMITS_SHOWN,
        "severity": words.SEVERITY,
        "state": words.STATE,
        "word": words.word,
        "t": text,
        "draw": lambda picture, each: Markup(pictures.draw(picture, each, run.site.time_zone)),  # noqa: S704 - pictures escapes its own labels
        "bar": lambda value, baseline: Markup(pictures.bar(value, baseline)),  # noqa: S704 - numbers only
    }
    return _template().render(names)


@cache
def _template() -> Template:
    return environment().get_template("report.html.jinja")


def environment() -> Environment:
    """Templates of this folder; what they print is escaped, and made plain where it is text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def harmless(value: object) -> object:
        ready = isinstance(value, Markup) or not isinstance(value, str)
        return value if ready else text.plain(str(value))

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _explained(error: OSError, path: Path) -> CyberterrError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return CyberterrError(
            f"the report could not be written: {error.strerror}",
            hint="nothing was left behind; free some space or name a file on another disk",
            where=str(path),
        )
    return UsageError(
        f"the report could not be written: {error.strerror or error}",
        hint="name a file in a folder that exists and that you may write to",
        where=str(path),
    )
