"""Small inputs that once cost minutes or gigabytes."""

import gzip
import io
import json
import lzma
import time
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.capture import zeek_lines
from cyberterr.capture.decompress import decompressed
from cyberterr.config import Settings
from cyberterr.contracts.site import Site
from cyberterr.errors import SourceError
from cyberterr.pipeline import indicators
from cyberterr.pipeline.sources import Reading, read_tables
from tests.fuzz.formats import FORMATS, LOGS

PACKERS = {"gz": gzip.compress, "zst": zstandard.compress, "xz": lzma.compress}


def unpacked(data, compression, warn=lambda _: None):
    stream = decompressed(io.BufferedReader(io.BytesIO(data)), compression, warn)
    while chunk := stream.read1(1 << 16):
        yield chunk


def cpu_seconds(work):
    started = time.process_time()
    work()
    return time.process_time() - started


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from(sorted(PACKERS)), st.data())
def test_what_was_packed_in_parts_comes_back_whole_or_as_far_as_it_goes(parts, how, draw):
    packed = b"".join(PACKERS[how](part) + bytes(draw.draw(st.integers(0, 9))) for part in parts)
    assert b"".join(unpacked(packed, how)) == b"".join(parts)
    cut = packed[: draw.draw(st.integers(0, len(packed)))]
    assert b"".join(parts).startswith(b"".join(unpacked(cut, how)))


@pytest.mark.parametrize("how", sorted(PACKERS))
def test_empty_members_cost_as_much_as_they_are_long(how):
    member = PACKERS[how](b"")
    few = cpu_seconds(lambda: list(unpacked(member * 5_000, how)))
    many = cpu_seconds(lambda: list(unpacked(member * 40_000, how)))
    assert many < 30 * few + 0.5  # 8 times as long; it was the square once


def test_a_bomb_behind_a_thousand_empty_members_is_taken_in_small_pieces():
    bomb = gzip.compress(b"") * 2_000 + gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    size = sum(map(len, unpacked(bomb, "gz")))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 64 << 20
    assert most < 16 << 20


def test_comments_between_the_lines_of_a_zeek_log_cost_next_to_nothing():
    lines = (LOGS / "zeek" / "conn.log").read_bytes().splitlines(keepends=True)
    log = b"".join(lines[:8]) + (b"#close\n" + lines[8]) * 2_000 + b"#\n" * 20_000
    assert cpu_seconds(lambda: FORMATS["zeek-conn"].read(log)) < 3


def test_lines_below_the_thousandth_change_of_a_zeek_header_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(zeek_lines, "MAX_HEADERS", 7)
    lines = (LOGS / "zeek" / "conn.log").read_bytes().splitlines(keepends=True)
    wider = lines[6].replace(b"\n", b"\textra\n") + lines[8].replace(b"\n", b"\t-\n")
    log = tmp_path / "conn.log"
    log.write_bytes(b"".join(lines[:6]) + (lines[6] + lines[8] + wider) * 10)
    reading = Reading()
    rows = sum(tables.flows.height for tables in read_tables([log], Settings(), reading))
    assert rows == 7
    assert "13 lines are malformed" in reading.warnings[0]


@pytest.mark.parametrize("pattern", ["a" * 200_000, "x:" + "ja4" * 60_000, "url:" * 50_000])
def test_a_long_pattern_in_a_stix_feed_costs_as_much_as_it_is_long(tmp_path, pattern):
    feed = tmp_path / "feed.json"
    feed.write_text(json.dumps({"type": "indicator", "pattern": pattern}))

    def load():
        with pytest.raises(SourceError, match="no indicator"):
            indicators.load([feed], Site())

    assert cpu_seconds(load) < 3


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(FORMATS)))
def test_any_bytes_at_all_keep_every_contract(data, name):
    FORMATS[name].read(data)
