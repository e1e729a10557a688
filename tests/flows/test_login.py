from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.flows import login
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.flows.stream import NotThisProtocol

SECRETS = ("alice", "hunter2", b64encode(b"alice").decode(), b64encode(b"hunter2").decode())


def logins(*messages, key=b""):
    layer7 = Layer7("test", key)
    layer7.feed(messages)
    tables = layer7.drain(final=True)
    for name in ("login", "http"):
        text = str(getattr(tables, name).rows())
        assert not any(secret in text for secret in SECRETS)
    return [(r["service"], r["scheme"], r["success"]) for r in tables.login.iter_rows(named=True)]


def dialogue(say, port, *lines):
    """Lines of "C: ..." and "S: ..."."""
    return [say(line[3:].encode() + b"\r\n", client=line[0] == "C", port=port) for line in lines]


def test_thirty_refused_ftp_logins_are_thirty_rows(golden_tables):
    table = golden_tables("bruteforce.pcap").login
    assert table["service"].to_list() == ["ftp"] * 30
    assert table["success"].to_list() == [False] * 30


def test_an_accepted_ftp_login(say):
    said = dialogue(
        say,
        2121,
        "S: 220 ready",
        "C: USER alice",
        "S: 331 password",
        "C: PASS hunter2",
        "S: 230 ok",
    )
    assert logins(*said) == [("ftp", "PASS", True)]


@pytest.mark.parametrize("name", ["anonymous", "FTP"])
def test_an_anonymous_ftp_login_carries_no_secret(say, name):
    said = dialogue(say, 21, "S: 220 ready", f"C: USER {name}", "C: PASS guest@", "S: 230 ok")
    assert [scheme for _, scheme, _ in logins(*said)] == ["anonymous"]


def test_pop3_and_imap_logins(say):
    said = dialogue(say, 110, "S: +OK", "C: USER alice", "S: +OK", "C: PASS hunter2", "S: -ERR no")
    assert logins(*said) == [("pop3", "PASS", False)]


def test_imap_login_waits_for_its_own_tag(say):
    said = dialogue(
        say, 143, "S: * OK ready", 'C: a1 LOGIN "alice" hunter2', "S: * CAPABILITY", "S: a1 OK done"
    )
    assert logins(*said) == [("imap", "LOGIN", True)]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('LOGIN "alice martin" hunter2', b"alice martin"),
        (r'LOGIN "al\"ice" "hunter2"', b'al"ice'),
        ("LOGIN alice {7}\r\nhunter2", b"alice"),
        ("login {12}\r\nalice martin hunter2", b"alice martin"),
        ("LOGIN {5+}\r\nalice {7+}\r\nhunter2", b"alice"),
    ],
)
def test_imap_names_are_words_quoted_strings_or_literals(say, said, name):
    layer7 = Layer7("test", b"key")
    layer7.feed(dialogue(say, 143, "S: * OK ready", f"C: a1 {said}", "S: a1 OK done"))
    [row] = layer7.drain(final=True).login.to_dicts()
    assert (row["account"], row["success"]) == (login.account_id(name, b"key"), True)


def test_smtp_login_in_two_lines_and_plain_in_one(say):
    plain = b64encode(b"\0alice\0hunter2").decode()
    said = dialogue(
        say, 25, "S: 220 mail", "C: EHLO pc", "S: 250 ok", "C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6",
        f"C: {SECRETS[2]}", "S: 334 UGFzc3dvcmQ6", f"C: {SECRETS[3]}", "S: 535 no",
        f"C: AUTH PLAIN {plain}", "S: 235 ok",
    )  # fmt: skip
    assert logins(*said) == [("smtp", "LOGIN", False), ("smtp", "PLAIN", True)]


def test_telnet_shows_by_its_prompts_who_was_refused(say):
    def server(text):
        return say(b"\xff\xfd\x18" + text, client=False, port=23)

    said = [
        server(b"login: "),
        say(b"alice\r\n", port=23),
        server(b"Password: "),
        *[say(bytes([letter]), port=23) for letter in b"hunter2\r\0"],
        server(b"\r\nLogin incorrect\r\nlogin: "),
        say(b"alice\r\n", port=23),
        server(b"Password: "),
        say(b"hunter2\r\n", port=23),
        server(b"\r\nLast login: today\r\n$ "),
    ]
    assert logins(*said) == [("telnet", "prompt", False), ("telnet", "prompt", True)]


def test_an_attempt_without_answer_has_no_outcome(say):
    said = dialogue(say, 21, "S: 220 ready", "C: USER alice", "C: PASS hunter2")
    assert logins(*said) == [("ftp", "PASS", None)]


def test_a_community_that_is_answered_was_right(say):
    get = bytes.fromhex(
        "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
    )
    answer = get.replace(b"\xa0\x19", b"\xa2\x19")
    asked = say(get, port=161, protocol=17)
    assert logins(asked) == [("snmp", "community", None)]
    assert logins(asked, say(answer, client=False, port=161, protocol=17)) == [
        ("snmp", "community", True)
    ]


def test_one_account_has_one_hash_for_each_key():
    hashed = login.account_id(b"alice", b"site")
    assert hashed == login.account_id(b"alice", b"site")
    assert hashed not in (login.account_id(b"alice", b""), login.account_id(b"bob", b"site"))
    assert "alice" not in hashed
    assert login.account_id(b"", b"site") is None


@pytest.mark.parametrize("port", [21, 23, 25, 110, 143])
@settings(deadline=None, max_examples=50)
@given(said=st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=8))
def test_any_bytes_on_a_login_port_do_no_harm(port, said):
    layer7 = Layer7("test")
    at = {True: 0, False: 0}
    for client, noise in said:
        payload = (b"a AUTH PLAIN " if client else b"220 ") + noise + b"\r\n"
        who = ("10.0.0.1", "10.0.0.2", 40000, port, 6)
        layer7.feed([Message(0, 1, client, *who, at[client], payload)])
        at[client] += len(payload)
    layer7.drain(final=True)


@given(st.binary(max_size=60))
def test_any_datagram_is_snmp_or_not(noise):
    for tried in (noise, b"\x30\x20\x02\x01\x00\x04" + noise):
        try:
            login.snmp_request(tried)
        except NotThisProtocol:
            continue
