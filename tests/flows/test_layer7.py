from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.contracts.flow import TABLES, schema
from cyberterr.flows import connections as module
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.flows.ssh import identification
from cyberterr.flows.stream import Stream

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


@given(st.binary(min_size=1, max_size=400), st.data())
def test_segments_in_any_near_order_and_twice_give_the_stream_back(data, draw):
    cuts = sorted({0, *draw.draw(st.lists(st.integers(0, len(data)), max_size=6)), len(data)})
    segments = [(start, data[start:end]) for start, end in pairwise(cuts)]
    later = draw.draw(st.permutations(segments[1:] + segments))
    stream = Stream()
    for seq, payload in [segments[0], *later]:
        stream.push((2**32 - 5 + seq) % 2**32, payload)
    assert stream.data == data


def test_a_stream_goes_on_behind_a_gap():
    stream = Stream()
    stream.push(0, b"first")
    assert not stream.push(1000, b"second")
    assert stream.skip_gap()
    assert (stream.data, stream.fresh) == (b"second", True)


def test_ssh_strings_of_both_sides_are_one_row_on_any_port(say):
    layer7 = Layer7("test")
    layer7.feed(
        [
            say(b"SSH-2.0-OpenSSH_9.6\r\n", client=False, port=902),
            say(b"SSH-2.0-libssh\r\n", port=902),
        ]
    )
    (row,) = layer7.drain().ssh.to_dicts()
    assert (row["client"], row["server"]) == ("SSH-2.0-libssh", "SSH-2.0-OpenSSH_9.6")
    assert (row["success"], row["attempts"]) == (None, None)
    finished = pl.DataFrame({"flow_id": [1, 2], "end_reason": ["end", "idle"]})
    assert layer7.named(finished)["service"].to_list() == ["ssh", None]


def test_lines_before_the_ssh_string_are_passed_over():
    assert identification(b"hello\r\nSSH-2.0-x\r\nrest") == "SSH-2.0-x"


def test_tables_have_the_columns_of_the_contract(golden_tables):
    tables = golden_tables("wikipedia.pcap")
    assert tables.http.height == 15  # tshark -Y http.request
    for name in TABLES:
        assert dict(getattr(tables, name).schema) == schema(name)


def test_the_client_asks_even_when_the_capture_begins_with_its_server():
    layer7 = Layer7("test")
    who = ("10.0.0.2", "10.0.0.1", 80, 40000, 6)  # src is the web server
    layer7.feed([
        Message(0, 1, True, *who, 1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Message(1, 1, False, *who, 1, GET),
    ])  # fmt: skip
    (row,) = layer7.drain(final=True).http.to_dicts()
    assert (row["src_ip"], row["dst_port"]) == ("10.0.0.1", 80)


def test_a_flood_of_half_open_requests_stays_bounded_and_is_counted(say, monkeypatch):
    monkeypatch.setattr(module, "_MAX_FLOWS", 100)
    layer7 = Layer7("test")
    layer7.feed(say(GET[:20], flow=number) for number in range(250))
    assert layer7.dropped == 150


def test_one_capture_gives_the_same_rows_every_time(golden_messages):
    messages = golden_messages("wikipedia.pcap")

    def rows(step):
        layer7, found = Layer7("test"), []
        for at in range(0, len(messages), step):
            layer7.feed(messages[at : at + step])
            found += layer7.drain().http.rows()
        return found + layer7.drain(final=True).http.rows()

    assert rows(len(messages)) == rows(7)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.binary(max_size=80)), max_size=12),
    st.sampled_from((22, 23, 53, 80, 102, 161, 443, 502, 2404, 5353, 20000, 47808)),
    st.sampled_from((6, 17)),
)
def test_any_messages_do_no_harm(sent, port, protocol):
    layer7 = Layer7("test")
    who = ("10.0.0.1", "10.0.0.2", 40000, port, protocol)
    layer7.feed(
        Message(n, 1, src, *who, seq, load) for n, (src, seq, load) in enumerate(sent) if load
    )
    layer7.drain(final=True)
