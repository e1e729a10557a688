"""The pictures of the docs: every panel shows marks, and the picture says what it is."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from cyberterr.kibana.bundle import DASHBOARDS
from cyberterr.kibana.panel import Panel, say
from cyberterr.kibana.query import panel_query
from tests.kibana import draw

PARTS = {"cyberterr-media": "later", "cyberterr-decoys": "later", "cyberterr-audit": "both"}
IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.id)
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_panel_is_drawn_with_its_title_and_the_picture_says_what_it_is(ask, board, lang):
    drawn = draw.picture(board, lambda body: ask(PARTS.get(board.id, "now"), body), lang)
    assert html.escape(draw.NOTE[lang]) in drawn
    for panel in board.panels:
        assert html.escape(say(panel.title, lang)) in drawn


def test_an_empty_panel_is_no_picture(ask):
    media = next(board for board in DASHBOARDS if board.id == "cyberterr-media")
    with pytest.raises(ValueError, match="media-examined has no documents"):
        draw.picture(media, lambda body: ask("now", body), "en")


def test_a_chart_without_marks_is_no_picture(ask):
    panel = next(p for p in DASHBOARDS[0].panels if isinstance(p, Panel) and p.kind == "table")
    answer = ask("now", panel_query(panel))
    answer["aggregations"]["by"]["buckets"] = []
    alone = DASHBOARDS[0].__class__(
        id="one", title=panel.title, question=panel.question, panels=(panel,)
    )
    with pytest.raises(ValueError, match="nothing to show"):
        draw.picture(alone, lambda body: answer, "en")


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.id)
def test_the_docs_have_a_small_picture_of_each_dashboard(board):
    path = IMAGES / f"{draw.name(board, 'en')}.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert path.stat().st_size < 200_000
    assert path.name in (IMAGES.parent / "kibana.md").read_text(encoding="utf-8")
