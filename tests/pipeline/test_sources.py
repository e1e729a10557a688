"""Captures become tables: what one broken source does to the others, and what a person is told."""

import os
import signal
import struct
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from cyberterr.config import Meter, Settings
from cyberterr.pipeline.packets import Stream
from cyberterr.pipeline.sources import Reading, read_tables

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
BROWSING = GOLDEN / "workshop_2011_browse.pcap"
OTHERS = [GOLDEN / "vxlan.pcap", GOLDEN / "sll.pcap"]


def flows_of(*paths: Path) -> tuple[pl.DataFrame, Reading]:
    reading = Reading()
    tables = list(read_tables(paths, Settings(), reading))
    return pl.concat([t.flows for t in tables]), reading


def test_a_flow_that_is_cut_by_the_active_time_out_keeps_its_service():
    settings = Settings(meter=Meter(active_timeout_s=2))
    capture = GOLDEN / "quic_win11_firefox_google.pcap"
    flows = pl.concat([t.flows for t in read_tables([capture], settings, Reading())])
    assert flows.height > 1
    assert flows["service"].to_list() == ["quic"] * flows.height


def meter_processes() -> list[int]:
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    return [
        int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "_meter"
    ]


def test_a_source_that_breaks_the_decoder_is_named_and_the_others_are_read(tmp_path):
    """The decoder is killed while it reads the second of three captures."""
    pipe = tmp_path / "hostile.pcap"
    os.mkfifo(pipe)
    capture = BROWSING.read_bytes()

    def write():
        with pipe.open("wb", buffering=0) as out:
            for start in range(0, len(capture), 2_000):
                time.sleep(0.05)  # each piece is a block of its own
                if reading.packets:
                    break
                out.write(capture[start : start + 2_000])
            (decoder,) = meter_processes()
            os.kill(decoder, signal.SIGKILL)
            out.write(capture[start:])

    reading = Reading()
    writer = threading.Thread(target=write)
    writer.start()
    tables = list(read_tables([OTHERS[0], pipe, OTHERS[1]], Settings(), reading))
    writer.join()
    (error,) = reading.errors
    assert error.where == str(pipe)
    assert "broke the decoder" in error.message
    after, _ = flows_of(OTHERS[1])
    read = pl.concat([t.flows for t in tables])
    assert set(after["flow_id"]) <= set(read["flow_id"]), "what came after it was read"
    assert meter_processes() == []


def test_a_capture_that_grows_while_it_is_read_is_read_as_far_as_it_goes(tmp_path):
    growing = tmp_path / "growing.pcap"
    whole = BROWSING.read_bytes()
    growing.write_bytes(whole[:8_000])
    reading = Reading()
    tables = read_tables([growing], Settings(), reading)
    reading.changed = lambda _: growing.write_bytes(whole)
    list(tables)
    assert reading.errors == []
    assert 0 < reading.packets <= 121


def set_back(capture: bytes, hours: int) -> bytes:
    """The capture, and after it its packets again with a clock set back."""
    again, at = bytearray(capture[24:]), 0
    while at < len(again):
        seconds, _, captured, _ = struct.unpack_from("<IIII", again, at)
        struct.pack_into("<I", again, at, seconds - hours * 3_600)
        at += 16 + captured
    return capture + bytes(again)


def test_a_clock_that_was_set_back_is_told_and_loses_nothing(tmp_path):
    capture = tmp_path / "clock.pcap"
    capture.write_bytes(set_back(BROWSING.read_bytes(), hours=7))
    flows, reading = flows_of(capture)
    assert flows["src_packets"].sum() + flows["dst_packets"].sum() == 242
    assert any("1 of 242 packets are more than a minute older" in w for w in reading.warnings)


def test_a_clock_that_is_right_is_not_talked_about():
    _, reading = flows_of(BROWSING)
    assert reading.warnings == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_in_which_captures_are_named_changes_nothing(order):
    paths = [BROWSING, *OTHERS]
    flows, _ = flows_of(*(paths[n] for n in order))
    expected, _ = flows_of(*paths)
    assert flows.equals(expected)


def test_a_busy_line_gives_tables_by_the_second_and_not_by_the_block():
    """Every table costs each detector some milliseconds, however few rows it has."""
    ours, theirs = os.pipe()
    capture = BROWSING.read_bytes()
    reading = Reading()

    def write():
        with os.fdopen(theirs, "wb", buffering=0) as out:
            for start in range(0, len(capture), 200):
                out.write(capture[start : start + 200])
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    with Stream(Settings(), reading, layer7=True) as stream, os.fdopen(ours, "rb") as line:
        during = list(stream.read(line, "eth0", live=lambda: 0))
        took = time.monotonic() - began
        after = list(stream.end())
    writer.join()
    assert len(during) <= 2 * (took + 1)
    flows = pl.concat([tables.flows for tables in (*during, *after)])
    assert flows["src_packets"].sum() + flows["dst_packets"].sum() == 121
