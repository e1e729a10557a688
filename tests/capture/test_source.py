"""Sources are told apart by what they hold, and one bad source never hides the others."""

import gzip
import io
import lzma
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.capture.content import PCAP, WIRESHARK, recognise
from cyberterr.capture.source import discover, open_stream
from cyberterr.errors import SourceError

DATA = Path(__file__).parents[1] / "data"
LOGS = DATA / "logs"
PCAP_HEAD = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\x00\x00\x01\x00\x00\x00"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(200)


def no_warning(text):
    raise AssertionError(text)


def kinds(*paths):
    found = discover(paths)
    assert not found.errors
    return [source.kind for source in found.sources]


@pytest.mark.parametrize("magic", PCAP)
def test_every_pcap_magic_is_a_pcap_whatever_the_file_is_called(tmp_path, magic):
    file = tmp_path / "holiday.jpg"
    file.write_bytes(magic + bytes(20))
    assert kinds(file) == ["pcap"]


def test_pcapng_and_the_formats_of_wireshark_are_told_apart(tmp_path):
    (tmp_path / "a").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(30))
    for number, magic in enumerate(WIRESHARK):
        (tmp_path / f"b{number:02}").write_bytes(magic + bytes(30))
    found = discover([tmp_path])
    assert [s.kind for s in found.sources] == ["pcapng"] + ["wireshark"] * len(WIRESHARK)
    assert "snoop" in {s.detail for s in found.sources}


def test_logs_are_recognised_by_header_and_keys():
    expected = ["binetflow", "eve", "nfdump-csv", "nfdump-csv", "zeek", "zeek"]
    assert kinds(LOGS) == expected


def test_all_zeek_logs_of_a_folder_are_one_source_and_unused_ones_are_named_once():
    found = discover([LOGS / "zeek"])
    (source,) = found.sources
    assert [part.detail for part in source.parts] == ["conn", "dns", "http", "ssh", "ssl"]
    assert source.path == str(LOGS / "zeek")
    assert found.warnings == ["Zeek logs that are not used are skipped: weird"]


def test_a_shell_glob_of_zeek_logs_is_still_one_source():
    found = discover(sorted((LOGS / "zeek").glob("*.log")))
    assert len(found.sources) == 1
    assert not found.errors


def test_rotated_and_compressed_zeek_logs_belong_together(tmp_path):
    text = (LOGS / "zeek" / "conn.log").read_bytes()
    (tmp_path / "conn.08:00:00-09:00:00.log.gz").write_bytes(gzip.compress(text))
    (tmp_path / "conn.09:00:00-10:00:00.log.zst").write_bytes(zstandard.compress(text))
    (tmp_path / "conn.10:00:00-11:00:00.log.xz").write_bytes(lzma.compress(text))
    (source,) = discover([tmp_path]).sources
    assert [part.compression for part in source.parts] == ["gz", "zst", "xz"]
    for part in source.parts:
        with open_stream(part, no_warning) as stream:
            assert stream.read() == text


def test_a_zeek_log_that_nobody_reads_is_an_error_when_it_is_all_there_is():
    found = discover([LOGS / "zeek" / "weird.log"])
    assert not found.sources
    assert "weird" in found.errors[0].message
    assert "conn.log" in found.errors[0].hint


def test_a_bad_source_is_reported_and_the_others_are_still_found(tmp_path):
    (tmp_path / "empty.pcap").touch()
    (tmp_path / "picture.pcap").write_bytes(JPEG)
    (tmp_path / "good").write_bytes(PCAP_HEAD)
    found = discover(
        [tmp_path / "empty.pcap", tmp_path / "picture.pcap", tmp_path / "none", tmp_path / "good"]
    )
    assert [source.kind for source in found.sources] == ["pcap"]
    assert [type(error) for error in found.errors] == [SourceError] * 3
    messages = [error.message for error in found.errors]
    assert "empty" in messages[0]
    assert "JPEG" in messages[1]
    assert "no such file" in messages[2]
    assert all(error.where and error.hint and error.exit_code == 3 for error in found.errors)


def test_a_compressed_picture_is_no_capture_either(tmp_path):
    (tmp_path / "x.pcap.gz").write_bytes(gzip.compress(JPEG))
    assert "JPEG" in discover([tmp_path / "x.pcap.gz"]).errors[0].message


def test_in_a_folder_other_files_are_passed_over_with_one_warning(tmp_path):
    (tmp_path / "good.pcap").write_bytes(PCAP_HEAD)
    for number in range(8):
        (tmp_path / f"note{number}.txt").write_text("bonjour")
    found = discover([tmp_path])
    assert len(found.sources) == 1
    assert not found.errors
    (warning,) = found.warnings
    assert "8 files" in warning
    assert "and 3 more" in warning


def test_a_folder_with_nothing_to_read_is_an_error(tmp_path):
    (tmp_path / "readme.txt").write_text("bonjour")
    assert "nothing to read" in discover([tmp_path]).errors[0].message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_an_error_in_a_folder_too(tmp_path):
    (tmp_path / "locked.pcap").write_bytes(PCAP_HEAD)
    (tmp_path / "locked.pcap").chmod(0)
    (tmp_path / "open.pcap").write_bytes(PCAP_HEAD)
    found = discover([tmp_path])
    assert len(found.sources) == 1
    assert "permission" in found.errors[0].message


def test_folders_that_link_to_each_other_end_and_nothing_is_read_twice(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "up").symlink_to(tmp_path)
    (inner / "x.pcap").write_bytes(PCAP_HEAD)
    (tmp_path / "same.pcap").symlink_to(inner / "x.pcap")
    (tmp_path / "lost").symlink_to(tmp_path / "gone")
    found = discover([tmp_path, inner / "x.pcap"])
    assert len(found.sources) == 1
    assert ["no such file" in error.message for error in found.errors] == [True]


def test_standard_input_is_looked_at_and_not_consumed(monkeypatch):
    text = gzip.compress(PCAP_HEAD + bytes(5000))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text))))
    (source,) = discover(["-"]).sources
    assert (source.kind, source.compression, source.size) == ("pcap", "gz", None)
    with open_stream(source, no_warning) as stream:
        assert stream.read() == PCAP_HEAD + bytes(5000)
    with pytest.raises(SourceError, match="read already"):
        open_stream(source, no_warning)


def test_a_named_pipe_is_read_from_its_first_byte(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    whole = (LOGS / "eve.json").read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(whole,))
    writer.start()
    (source,) = discover([pipe]).sources
    assert source.kind == "eve"
    with open_stream(source, no_warning) as stream:
        assert stream.read() == whole
    writer.join()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
def test_a_compressed_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, pack):
    whole = PCAP_HEAD + os.urandom(300_000)
    packed = pack(whole)
    (tmp_path / "cut").write_bytes(packed[: len(packed) * 2 // 3])
    (source,) = discover([tmp_path / "cut"]).sources
    warnings = []
    with open_stream(source, warnings.append) as stream:
        data = stream.read()
    assert whole.startswith(data)
    assert len(warnings) == 1
    assert "cut off" in warnings[0]
    assert f"{len(data):,} bytes" in warnings[0]


def test_members_one_after_the_other_are_one_stream_and_rubbish_after_them_is_told(tmp_path):
    packed = gzip.compress(PCAP_HEAD) + gzip.compress(b"more") + bytes(512)
    (tmp_path / "joined").write_bytes(packed)
    (source,) = discover([tmp_path / "joined"]).sources
    with open_stream(source, no_warning) as stream:
        assert stream.read() == PCAP_HEAD + b"more"
    (tmp_path / "joined").write_bytes(packed + b"rubbish")
    warnings = []
    with open_stream(source, warnings.append) as stream:
        assert stream.read() == PCAP_HEAD + b"more"
    assert "something else follows" in warnings[0]


def test_a_decompression_bomb_is_streamed(tmp_path):
    resource = pytest.importorskip("resource")
    with gzip.open(tmp_path / "bomb", "wb", compresslevel=1) as file:
        file.write(PCAP_HEAD)
        for _ in range(100):
            file.write(bytes(1 << 20))
    (source,) = discover([tmp_path / "bomb"]).sources
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_stream(source, no_warning) as stream:
        size = sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 20), b""))
    assert size == len(PCAP_HEAD) + (100 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


@given(st.binary(max_size=300), st.booleans())
def test_any_first_bytes_are_recognised_or_not_without_a_traceback(head, complete):
    recognise(head, complete=complete)
    recognise(b"#fields\tts\t" + head, complete=complete)
    recognise(b'{"' + head, complete=complete)


def test_a_name_that_is_too_long_is_an_error_too():
    assert "cannot be read" in discover(["x" * 5000]).errors[0].message


def test_a_file_that_vanishes_after_it_was_found_is_a_source_error(tmp_path):
    file = tmp_path / "x"
    shutil.copy(LOGS / "eve.json", file)
    (source,) = discover([file]).sources
    file.unlink()
    with pytest.raises(SourceError, match="no such file"):
        open_stream(source, no_warning)
