"""Pictures of the dashboards for the docs: `python -m tests.kibana.draw http://127.0.0.1:9200`.

No Kibana draws them: every panel is a Vega-Lite chart of what a genuine server answered to the
panel's own query over the week of `town`, laid out in the dashboard's grid, and says so.
"""

from __future__ import annotations

import html
import re
import secrets
import struct
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert

from cyberterr.config import Elastic, Settings
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.kibana.bundle import DASHBOARDS
from cyberterr.kibana.panel import COLUMNS, Dashboard, Lang, places, say
from cyberterr.kibana.query import panel_query
from tests.kibana import town
from tests.kibana.charts import CONFIG, FONT, INK, QUIET, Spec, chart

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLUMN, ROW, GAP, HEAD, PAD = 26, 21, 8, 30, 12
"""pixels: of the grid's column and row, between panels, of a panel's title, at its edges"""
PAPER, CARD, EDGE = "#f3f5f7", "#ffffff", "#d5dbe1"
MARK = re.compile(r'aria-roledescription="(bar|rect mark|text mark)"')
NOTE = {
    "en": "Drawn from the answers of an Elasticsearch to the panels’ own queries, over an invented "
    "week. Not a screenshot of Kibana.",
    "fr": "Dessiné d’après les réponses d’un Elasticsearch aux requêtes des panneaux, sur une "
    "semaine inventée. Ce n’est pas une capture d’écran de Kibana.",
}
LATER = {"cyberterr-media": ".later", "cyberterr-decoys": ".later", "cyberterr-audit": "*"}
"""where the documents of a dashboard lie, after the namespace"""

Ask = Callable[[dict[str, Any]], Any]


def name(board: Dashboard, lang: Lang) -> str:
    """Of the picture's file, without its ending."""
    return board.id.replace("cyberterr", "kibana") + ("-fr" if lang == "fr" else "")


def picture(board: Dashboard, ask: Ask, lang: Lang) -> str:
    """*board* as SVG, each panel drawn from the answer to its query.

    Raises:
        ValueError: a panel has nothing to show.
    """
    about = textwrap.wrap(say(board.question, lang), 185)
    top = 62 + 17 * len(about) + 26
    width = COLUMNS * COLUMN + GAP
    laid = places(board)
    height = top + max(p.y + p.h for p in laid) * ROW + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="{FONT}"><rect width="100%" height="100%" fill="{PAPER}"/>',
        _said(14, 36, f"[cyberterr] {say(board.title, lang)}", 21, INK, bold=True),
        *(_said(14, 60 + 17 * i, line, 12, QUIET) for i, line in enumerate(about)),
        f'<rect x="14" y="{top - 34}" width="{width - 28}" height="24" rx="4" fill="#fff3cd" '
        f'stroke="#c9a227"/>',
        _said(24, top - 18, NOTE[lang], 11, "#4d3d00"),
    ]
    for panel, place in zip(board.panels, laid, strict=True):
        x, y = place.x * COLUMN + GAP, top + place.y * ROW
        w, h = place.w * COLUMN - GAP, place.h * ROW - GAP
        spec = chart(panel, ask(panel_query(panel, lang=lang)), w - 2 * PAD, h - HEAD - PAD, lang)
        parts += [
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{CARD}" '
            f'stroke="{EDGE}"/>',
            _said(x + PAD, y + 20, say(panel.title, lang), 12.5, INK, bold=True),
            f'<g transform="translate({x + PAD},{y + HEAD})">{_drawn(panel.id, spec)}</g>',
        ]
    return "".join([*parts, "</svg>"])


def _drawn(panel: str, spec: Spec) -> str:
    drawn = vl_convert.vegalite_to_svg({**spec, "config": CONFIG, "padding": 0})
    if len(MARK.findall(drawn)) < 2:
        raise ValueError(f"{panel} is drawn empty")
    return re.sub(r"^<svg[^>]*>|</svg>\s*$", "", drawn)


def _said(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight}>'
        f"{html.escape(text)}</text>"
    )


def main(url: str) -> None:
    """Draw every dashboard in English, and the first in French too."""
    settings = Settings(elastic=Elastic(url=url))
    cluster = connect(settings.elastic)
    templates.install(cluster, settings)
    namespace = f"t{secrets.token_hex(4)}"
    town.store(cluster, namespace)

    def asking(part: str) -> Ask:
        path = f"/logs-cyberterr.*-{namespace}{part}/_search"
        return lambda body: cluster.ask(Request("POST", path, body))

    for board, lang in [*((board, "en") for board in DASHBOARDS), (DASHBOARDS[0], "fr")]:
        drawn = picture(board, asking(LATER.get(board.id, "")), lang)
        small = _smaller(vl_convert.svg_to_png(drawn, scale=1.25))
        (IMAGES / f"{name(board, lang)}.png").write_bytes(small)


def _smaller(png: bytes) -> bytes:
    """The same picture at a fifth of the size: vl-convert packs for speed, one filter for all."""
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind = png[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    packed = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    if (depth, colour) != (8, 6) or set(packed[:, 0]) != {1}:
        return png
    pixels = np.cumsum(packed[:, 1:].reshape(height, width, 4), axis=1, dtype=np.uint8)[:, :, :3]
    plain = np.hstack([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(plain.tobytes(), 9), b"IEND": b""}
    return png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )


if __name__ == "__main__":
    main(sys.argv[1])
