from hypothesis import given
from hypothesis import strategies as st

from cyberterr.flows.layer7 import Layer7

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: Mairie.Example\r\nUser-Agent: curl/8\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def rows(*messages):
    layer7 = Layer7("test")
    layer7.feed(messages)
    return layer7.drain(final=True)


def test_a_request_and_its_answer_are_one_row_on_any_port(say):
    (row,) = rows(say(GET, port=8081), say(OK, client=False, port=8081)).http.to_dicts()
    assert (row["method"], row["host"], row["uri"]) == ("GET", "mairie.example", "/a?b=1")
    assert (row["user_agent"], row["status"]) == ("curl/8", 200)


def test_pipelined_requests_get_their_own_answers(say):
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    table = rows(say(GET + GET.replace(b"/a", b"/b")), say(OK + missing, client=False)).http
    assert table["status"].to_list() == [200, 404]


def test_a_head_over_many_segments_is_one_request(say):
    pieces = [say(GET[at : at + 9]) for at in range(0, len(GET), 9)]
    assert rows(*pieces[:8]).http.height == 1


def test_the_answer_to_head_has_no_body(say):
    head = b"HEAD / HTTP/1.1\r\n\r\n"
    table = rows(say(head + GET), say(OK.removesuffix(b"hello") + OK, client=False)).http
    assert table["status"].to_list() == [200, 200]


def test_a_request_without_answer_has_no_status(say):
    assert rows(say(GET)).http["status"].to_list() == [None]


def test_basic_credentials_are_a_login_without_name_or_password(say):
    request = GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YWxpY2U6aHVudGVyMg==\r\n\r\n")
    refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    tables = rows(say(request), say(refused, client=False), say(request), say(OK, client=False))
    assert tables.login["success"].to_list() == [False, True]
    assert tables.login["scheme"].to_list() == ["Basic", "Basic"]
    assert tables.login["account"].n_unique() == 1
    assert not any(secret in str(tables) for secret in ("alice", "hunter2", "YWxpY2U6"))


def test_credentials_for_a_proxy_are_a_login_too(say):
    request = b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic YWxpY2U6aA==\r\n\r\n"
    denied = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    tables = rows(say(request, port=3128), say(denied, client=False, port=3128))
    assert tables.login["success"].to_list() == [False]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_behind_a_method_do_no_harm(noise, answer):
    from cyberterr.flows.layer7 import Message

    who = ("10.0.0.1", "10.0.0.2", 40000, 80, 6)
    rows(
        Message(0, 1, True, *who, 1, b"POST " + noise),
        Message(1, 1, False, *who, 1, b"HTTP/1.1 " + answer),
    )


def test_the_golden_captures_give_the_requests_that_tshark_sees(golden_tables):
    table = golden_tables("four_ipv6_http_streams.pcap").http
    assert table["method"].to_list() == ["GET"] * table.height
    assert table.height == 9  # tshark -Y http.request
