"""What a person is told where damage would hide what follows it."""

import pytest

from cyberterr.capture.source import discover
from cyberterr.contracts.site import Site
from cyberterr.errors import SourceError
from cyberterr.pipeline import indicators
from tests.fuzz.formats import FORMATS


@pytest.mark.parametrize("name", ["gz", "zst", "xz"])
def test_a_compressed_file_that_is_damaged_at_its_start_is_called_damaged(tmp_path, name):
    data = bytearray(FORMATS[name].seeds(name)[0])
    data[20:60] = bytes(40)
    (tmp_path / "capture").write_bytes(data)
    (error,) = discover([tmp_path / "capture"]).errors
    assert "damaged" in error.message
    (tmp_path / "cut").write_bytes(bytes(data[:12]))
    (error,) = discover([tmp_path / "cut"]).errors
    assert "cut off" in error.message


def test_a_quote_that_nobody_closes_does_not_swallow_the_rest_of_a_feed(tmp_path):
    feed = tmp_path / "feed.csv"
    feed.write_text('value;label\n45.33.32.156;"C2\nevil.example;phishing\n')
    with pytest.raises(SourceError, match="not readable as CSV"):
        indicators.load([feed], Site())
