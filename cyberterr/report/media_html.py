"""Verdicts on one page that opens offline, or on paper: evidence in pictures, limits first."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyberterr.contracts.examiner import RATE, Window
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.media import Band, Evidence, Media
from cyberterr.contracts.site import Site
from cyberterr.errors import MissingPartError, UsageError
from cyberterr.report import media_pictures, spectrogram, text
from cyberterr.report import media_words as words
from cyberterr.report.html import environment, written
from cyberterr.report.spectrogram import Spectrogram
from cyberterr.report.text import Lang

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

MARKED = 8
"""segments that can be listened to"""
HEARD = 20
"""files that can be listened to, the worst first: 3 MB each, and more would not open"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A verdict with what a page shows beside it."""

    finding: Finding
    spectrogram: Spectrogram | None = None
    listen: tuple[Window, ...] = ()
    """windows with the highest scores, worst first"""

    @property
    def media(self) -> Media:
        """The verdict itself."""
        assert isinstance(self.finding.media, Media)  # noqa: S101 - only such are shown
        return self.finding.media


def write(path: Path, items: Sequence[Examined], site: Site, lang: Lang = "en") -> None:
    """Write the report of *items* to *path*, `.html` or `.pdf`, whole or not at all.

    Raises:
        UsageError: *path* ends otherwise, or cannot be written.
        MissingPartError: a PDF is asked for, and the library that sets it is not installed.
    """
    if path.suffix.lower() == ".pdf":
        written(path, _pdf(render(items, site, lang, languages=(lang,))))
    elif path.suffix.lower() in (".html", ".htm"):
        written(path, render(items, site, lang).encode())
    else:
        raise UsageError("a report is .html or .pdf", hint="--report verdict.html", where=str(path))


def render(
    items: Sequence[Examined],
    site: Site,
    lang: Lang = "en",
    *,
    languages: tuple[Lang, ...] = ("en", "fr"),
) -> str:
    """The page as text; every text of a finding may come from an attacker and is escaped."""
    ordered = sorted(items, key=lambda item: words.rank(item.finding))
    silent = [replace(item, listen=()) for item in ordered[HEARD:]]
    names: dict[str, Any] = {
        "items": [*ordered[:HEARD], *silent],
        "heard": HEARD,
        "site": site,
        "first_lang": lang,
        "languages": languages,
        "words": words,
        "word": words.word,
        "t": text,
        "marked": _marked,
        "listen": _listen,
        "picture": _picture,
        "timeline": _timeline,
        "bands": _bands,
        "signed": _signed,
        "limits_of": lambda media: [limit.text for limit in media.limits],
    }
    return _template().render(names)


def _marked(item: Examined) -> list[Window]:
    """The windows that can be listened to, in the order of time."""
    chosen = item.listen[: MARKED if item.media.answer != "no_sign_found" else 1]
    return sorted(chosen, key=lambda window: window.start)


def _picture(item: Examined, lang: Lang) -> Markup:
    from markupsafe import Markup

    if item.spectrogram is None:
        return Markup()
    marked = [(w.start, w.start + w.samples.size / RATE) for w in _marked(item)]
    names = (words.word("seconds_axis", lang), words.word("khz_axis", lang))
    return Markup(spectrogram.drawn(item.spectrogram, marked, names))  # noqa: S704 - numbers and our own words


def _listen(window: Window) -> Markup:
    """The sound of *window* as a `data:` URI; Markup, because text would be cut."""
    import numpy as np
    from markupsafe import Markup

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.clip(window.samples * 32767, -32768, 32767).astype("<i2").tobytes())
    sound = base64.b64encode(file.getvalue()).decode()
    return Markup(f"data:audio/wav;base64,{sound}")  # noqa: S704 - base64 only


def _timeline(media: Media, lang: Lang) -> Markup:
    from markupsafe import Markup

    if len(media.segments) < 2:  # one part is no course of time
        return Markup()
    alt, axis = words.word("timeline_alt", lang), words.word("seconds_axis", lang)
    drawn = media_pictures.timeline(media.segments, media.seconds or 0.0, alt, axis)
    return Markup(drawn)  # noqa: S704 - numbers and our own words


def _bands(evidence: Evidence) -> list[tuple[Band, Markup, Markup]]:
    """Each band with its two pictures, all to the same scale."""
    from markupsafe import Markup

    ends = media_pictures.extent(evidence.bands)
    largest = max(abs(each.weight) for each in evidence.bands)
    return [
        (
            each,
            Markup(media_pictures.band(each, ends)),  # noqa: S704 - numbers only
            Markup(media_pictures.weight(each.weight, largest)),  # noqa: S704 - numbers only
        )
        for each in evidence.bands
    ]


def _signed(value: float, lang: Lang) -> str:
    """*value* with two digits and its sign, as it is printed."""
    rounded = round(value, 2)
    sign = "+" if rounded > 0 else "\u2212" if rounded < 0 else ""
    told = f"{sign}{abs(rounded):.2f}"
    return told.replace(".", ",") if lang == "fr" else told


def _pdf(page: str) -> bytes:
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except OSError as error:  # the wheel is there, the library that sets text is not
        raise MissingPartError(
            f"a PDF cannot be made: {error}",
            hint="sudo apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0, or ask "
            "for .html",
        ) from None
    only_inside = URLFetcher(allowed_protocols=["data"])
    made = weasyprint.HTML(string=page, url_fetcher=only_inside).write_pdf()
    assert isinstance(made, bytes)  # noqa: S101 - without a target it gives bytes
    return made


@cache
def _template() -> Template:
    return environment().get_template("media.html.jinja")
