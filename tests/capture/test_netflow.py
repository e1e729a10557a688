"""One-way records become flows of two sides, from nfdump's files, its CSV and Argus."""

import datetime as dt
import gzip
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.capture import netflow, pairing
from cyberterr.capture.source import Source, discover
from cyberterr.contracts.flow import TABLES, schema
from cyberterr.errors import MissingPartError, SourceError

DATA = Path(__file__).parents[1] / "data"
LOGS = DATA / "logs"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network" / "slips-formats"
needs_nfdump = pytest.mark.skipif(
    not (shutil.which("nfdump") and shutil.which("nfpcapd")), reason="nfdump is not installed"
)


def no_warning(text):
    raise AssertionError(text)


def flows(path, warn=no_warning):
    (source,) = discover([path]).sources
    return pl.concat([part.flows for part in netflow.read(source, sensor="here", warn=warn)])


def by_source_port(frame, port):
    return frame.row(by_predicate=pl.col("src_port") == port, named=True)


@pytest.mark.parametrize("name", ["nfdump-1.6.csv", "nfdump-1.7.csv"])
def test_two_records_that_answer_each_other_become_one_flow(name):
    flow = by_source_port(flows(LOGS / name), 50001)
    assert (flow["src_ip"], flow["dst_ip"], flow["dst_port"]) == (
        "192.0.2.10",
        "198.51.100.20",
        443,
    )
    assert (flow["src_packets"], flow["dst_packets"]) == (10, 12)
    assert (flow["src_bytes"], flow["dst_bytes"]) == (1500, 9000)
    assert (flow["src_flags"], flow["dst_flags"], flow["state"]) == (0x1B, 0x1B, "SF")
    assert flow["end"] - flow["start"] == dt.timedelta(seconds=2.5)
    assert flow["start"].replace(microsecond=0) == dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)


def test_a_record_without_an_answer_stays_one_and_the_summary_is_no_record():
    found = flows(LOGS / "nfdump-1.6.csv")
    assert found.height == 4
    scan = by_source_port(found, 40000)
    assert (scan["dst_packets"], scan["state"], scan["dst_flags"]) == (0, "S0", None)
    lookup = by_source_port(found, 51000)
    assert (lookup["dst_port"], lookup["state"]) == (53, "SF")
    ping = found.row(by_predicate=pl.col("protocol") == 58, named=True)
    assert (ping["src_ip"], ping["dst_port"]) == ("2001:db8::10", 0)


def test_records_of_both_sides_are_left_as_they_are(tmp_path):
    head, record = (LOGS / "nfdump-1.6.csv").read_text().splitlines()[:2]
    (tmp_path / "b.csv").write_text(f"{head}\n{record.replace(',0,0,0,0', ',12,9000,0,0')}\n")
    (flow,) = flows(tmp_path / "b.csv").rows(named=True)
    assert (flow["dst_packets"], flow["dst_bytes"], flow["state"]) == (12, 9000, "SF")


def record(start, src_port, flags=2, *, back=False, end=None):
    ends = ("192.0.2.1", "198.51.100.1")
    moment = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC) + dt.timedelta(seconds=start)
    source, destination = reversed(ends) if back else ends
    return {
        "start": moment,
        "end": end or moment,
        "src_ip": source,
        "dst_ip": destination,
        "src_port": 80 if back else src_port,
        "dst_port": src_port if back else 80,
        "protocol": 6,
        "src_packets": 1,
        "src_bytes": 60,
        "dst_packets": 0,
        "dst_bytes": 0,
        "src_flags": flags,
    }


def test_the_other_side_may_come_in_the_next_batch():
    pairs = pairing.Pairing()
    assert pairs.add(pl.DataFrame([record(0, 1000)])).height == 0
    (flow,) = pairs.add(pl.DataFrame([record(1, 1000, 18, back=True)])).rows(named=True)
    assert (flow["src_port"], flow["dst_packets"]) == (1000, 1)
    assert pairs.rest().height == 0


def test_each_record_is_used_once_by_the_nearest_and_never_from_far_away():
    records = [record(0, 1), record(60, 1), record(61, 1, 18, back=True), record(400, 1)]
    pairs = pairing.Pairing()
    found = pl.concat([pairs.add(pl.DataFrame(records)), pairs.rest()]).sort("start")
    assert found["dst_packets"].to_list() == [0, 1, 0]


def test_at_the_same_instant_the_one_who_sent_only_syn_began():
    pairs = pairing.Pairing()
    records = [record(0, 22, 18, back=True), record(0, 22, 2)]
    (flow,) = pairs.add(pl.DataFrame(records)).rows(named=True)
    assert (flow["src_port"], flow["dst_port"]) == (22, 80)


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(pairing, "MAX_HELD", 10)
    pairs = pairing.Pairing()
    settled = pairs.add(pl.DataFrame([record(0, port) for port in range(1, 101)]))
    assert settled.height == 90
    assert pairs.rest().height == 10


def test_argus_records_keep_both_sides_and_what_is_no_ip_is_named():
    warnings = []
    found = flows(LOGS / "argus.binetflow", warnings.append)
    assert found.height == 5
    assert warnings == [f"{LOGS / 'argus.binetflow'}: records that are not IP are skipped: 1 (arp)"]
    web = by_source_port(found, 50001)
    assert (web["src_bytes"], web["dst_bytes"], web["state"]) == (1500, 9000, "SF")
    assert web["src_packets"] + web["dst_packets"] == 22
    assert by_source_port(found, 40000)["state"] == "S0"
    assert by_source_port(found, 40001)["state"] == "REJ"


def test_an_argus_arrow_to_the_left_turns_the_flow():
    lookup = by_source_port(flows(LOGS / "argus.binetflow", lambda _: None), 51000)
    assert (lookup["src_ip"], lookup["dst_port"], lookup["state"]) == ("192.0.2.10", 53, "SF")
    assert (lookup["src_bytes"], lookup["dst_bytes"]) == (58, 74)


def test_argus_with_tabs_is_the_same(tmp_path):
    text = (LOGS / "argus.binetflow").read_text().replace(",", "\t")
    (tmp_path / "x").write_text(text)
    with_commas = flows(LOGS / "argus.binetflow", lambda _: None)
    assert flows(tmp_path / "x", lambda _: None).equals(with_commas)


@pytest.mark.parametrize("name", ["nfdump-1.6.csv", "argus.binetflow"])
def test_the_table_has_exactly_the_columns_of_its_contract_and_no_forbidden_null(name):
    found = flows(LOGS / name, lambda _: None)
    assert dict(found.schema) == schema("flows")
    for column in TABLES["flows"]:
        assert column.null != "never" or found[column.name].null_count() == 0, column.name


def test_malformed_records_are_counted(tmp_path):
    lines = (LOGS / "nfdump-1.7.csv").read_text().splitlines()
    lines[2:2] = ["1,2,never,1,6,192.0.2.1,1,192.0.2.2,2,0,0,0,0,......S.,0,1,60", "x"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    warnings = []
    assert flows(tmp_path / "x.csv", warnings.append).height == 2
    assert "2 lines are malformed" in warnings[0]
    assert "the first is line 3" in warnings[0]


def test_without_nfdump_its_files_name_the_package(tmp_path, monkeypatch):
    (tmp_path / "nfcapd").write_bytes(b"\x0c\xa5\x02\x00" + bytes(200))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="apt install nfdump") as caught:
        flows(tmp_path / "nfcapd")
    assert caught.value.exit_code == 4


def recorded(capture, folder):
    """The flow file that nfpcapd writes of *capture*."""
    subprocess.run(["nfpcapd", "-r", capture, "-l", folder], check=True, capture_output=True)
    return sorted(folder.glob("nfcapd.*"))


def totals(file):
    command = ["nfdump", "-r", file, "-q", "-N", "-o", "fmt:%pkt,%byt"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = [line.split(",") for line in printed.splitlines() if "," in line]
    return sum(int(pair[0]) for pair in pairs), sum(int(pair[1]) for pair in pairs)


@needs_nfdump
@pytest.mark.parametrize(
    "name", ["bruteforce.pcap", "DnsPackets.pcap", "one_ipv6_http_stream.pcap", "wikipedia.pcap"]
)
def test_a_flow_file_made_of_a_capture_loses_no_packet_and_no_byte(tmp_path, name):
    files = recorded(DATA / "golden" / name, tmp_path)
    assert files
    for file in files:
        found = flows(file)
        packets = int(found["src_packets"].sum() + found["dst_packets"].sum())
        size = int(found["src_bytes"].sum() + found["dst_bytes"].sum())
        assert (packets, size) == totals(file)
        assert packets > 0


@needs_nfdump
def test_a_brute_force_is_seen_from_the_attackers_side(tmp_path):
    (file,) = recorded(DATA / "golden" / "bruteforce.pcap", tmp_path)
    found = flows(file)
    assert set(found.filter(pl.col("dst_packets") > 0)["dst_port"]) == {21}


@needs_nfdump
def test_a_compressed_flow_file_is_read_too(tmp_path):
    (file,) = recorded(DATA / "golden" / "bruteforce.pcap", tmp_path)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert flows(tmp_path / "packed.gz").equals(flows(file))


@needs_nfdump
def test_a_file_that_only_begins_like_one_of_nfdump_is_refused(tmp_path):
    (tmp_path / "broken").write_bytes(b"\x0c\xa5\x02\x00" + b"\xff" * 500)
    with pytest.raises(SourceError, match="nfdump cannot read it") as caught:
        flows(tmp_path / "broken")
    assert caught.value.exit_code == 3


@needs_nfdump
def test_a_flow_file_cut_off_anywhere_is_read_or_refused_without_a_traceback(tmp_path):
    (file,) = recorded(DATA / "golden" / "wikipedia.pcap", tmp_path)
    whole = file.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 25)):
        (tmp_path / "cut").write_bytes(whole[:size])
        warnings = []
        if discover([tmp_path / "cut"]).sources:
            try:
                flows(tmp_path / "cut", warnings.append)
            except SourceError:
                continue


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["nfdump-csv", "binetflow"]),
    data=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.lists(
                st.sampled_from(["1", "-1", "1e300", "192.0.2.1", "::1", "TCP", "nan", "0x1", ""])
                | st.text(max_size=6),
                max_size=20,
            ).map(",".join),
            max_size=4,
        ).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")),
    ),
)
def test_any_bytes_are_read_without_a_traceback(tmp_path_factory, kind, data):
    name = "nfdump-1.7.csv" if kind == "nfdump-csv" else "argus.binetflow"
    head = (LOGS / name).read_bytes().split(b"\n")[0]
    path = tmp_path_factory.mktemp("flows") / "x"
    for content in (data, head + b"\n" + data):
        path.write_bytes(content)
        list(netflow.read(Source(str(path), kind), sensor="s", warn=lambda _: None))


@needs_nfdump
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")
def test_a_real_flow_file_gives_all_packets_of_nfdumps_own_summary():
    found = flows(SHARED / "test1-malicious.nfdump.gz")
    assert int(found["src_packets"].sum() + found["dst_packets"].sum()) == 4652
    assert int(found["src_bytes"].sum() + found["dst_bytes"].sum()) == 241_025
    assert found["state"].value_counts(sort=True)["state"][0] == "REJ"
