"""What is shown of a message, and what never is."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.capture.deep_fields import (
    MOST_CHARACTERS,
    MOST_VALUES,
    PROTOCOLS,
    messages_of,
    without_values,
)

NEWER_THAN_DEBIAN_12 = {"tls.handshake.ja4"}


@pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package: tshark)"
)
def test_every_field_is_one_that_tshark_knows():
    table = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, check=True)
    known = {line.split("\t")[2] for line in table.stdout.splitlines() if line.startswith("F\t")}
    wanted = {field for protocol in PROTOCOLS.values() for field in protocol.fields}
    assert wanted - known <= NEWER_THAN_DEBIAN_12


def test_fields_of_two_layers_that_make_one_message_stand_together():
    layers = {
        "mbtcp": [{"mbtcp_mbtcp_unit_id": "1"}, {"mbtcp_mbtcp_unit_id": "2"}],
        "modbus": [{"modbus_modbus_func_code": "3"}, {"modbus_modbus_func_code": "6"}],
    }
    assert list(messages_of(layers, from_server=False)) == [
        ("modbus", {"mbtcp.unit_id": "1", "modbus.func_code": "3"}),
        ("modbus", {"mbtcp.unit_id": "2", "modbus.func_code": "6"}),
    ]


def test_the_names_in_a_certificate_are_shown_of_the_server_only():
    layers = {
        "tls": {"tls_tls_handshake_type": "11", "x509sat_x509sat_printableString": "Alice Martin"}
    }
    [(_, of_client)] = messages_of(layers, from_server=False)
    [(_, of_server)] = messages_of(layers, from_server=True)
    assert "Alice Martin" not in str(of_client)
    assert of_server["x509sat.printableString"] == "Alice Martin"


def test_tls_inside_of_quic_is_a_message_of_its_own():
    layers = {"quic": {"quic_quic_version": "0x00000001", "tls": {"tls_tls_handshake_type": "1"}}}
    assert [name for name, _ in messages_of(layers, from_server=False)] == ["quic", "tls"]


def test_long_texts_and_lists_are_cut_and_say_so():
    layers = {"dns": {"dns_dns_txt": "x" * 9000, "dns_dns_a": ["10.0.0.1"] * 200}}
    [(_, fields)] = messages_of(layers, from_server=True)
    assert fields["dns.txt"] == "x" * MOST_CHARACTERS + "…"
    assert fields["dns.a"][MOST_VALUES:] == ["… 136 more"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/", "/"),
        ("/a/b.html", "/a/b.html"),
        ("/login?user=alice&pw=x", "/login?user=…&pw=…"),
        ("/reset?c0ffee", "/reset?…"),
        ("/a;jsessionid=c0ffee/b?q", "/a;jsessionid=…/b?…"),
        ("http://alice:pw@host/p?x=1#part", "http://host/p?x=…"),
        ("/wiki/User:a@b", "/wiki/User:a@b"),
    ],
)
def test_an_address_keeps_the_names_of_its_parameters_and_none_of_their_values(address, shown):
    assert without_values(address) == shown


SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
FIELD = st.sampled_from(
    ["dns_dns_a", "tls", "tls_tls_handshake_type", "http_http_request_uri", "filtered"]
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELD, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["dns", "tls", "http", "quic", "mbtcp", "modbus"]), VALUE))
def test_no_answer_of_tshark_is_an_error(layers):
    for name, fields in messages_of(layers, from_server=True):
        assert name in PROTOCOLS
        assert fields
