"""How far a compressed source is read is told in bytes of the file, so that time left is honest."""

import gzip
import io
import lzma
from pathlib import Path

import pytest
import zstandard

from cyberterr.capture.decompress import on_disk
from cyberterr.capture.source import discover, open_stream

CAPTURE = Path(__file__).parents[1] / "data" / "town_hall.pcapng"


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress, bytes],
    ids=["gz", "xz", "zst", "plain"],
)
@pytest.mark.parametrize("piped", [False, True])
def test_at_the_end_the_bytes_taken_are_those_on_disk(tmp_path, monkeypatch, compress, piped):
    path = tmp_path / "capture"
    path.write_bytes(compress(CAPTURE.read_bytes()))
    if piped:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(path))))
    [source] = discover(["-" if piped else path]).sources
    size = path.stat().st_size
    given = 0
    with open_stream(source, pytest.fail) as stream:
        taken = [0]
        while block := stream.read(100_000):
            given += len(block)
            taken.append(on_disk(stream, given))
    assert taken == sorted(taken)
    assert taken[-1] == size
    assert all(count <= size for count in taken)
