"""The spectrogram, the timeline and the bands."""

import base64
import io
import re

import numpy as np
from PIL import Image

from cyberterr.report import media_pictures, spectrogram
from tests.report.a_verdict import evidence, sound


def test_a_tone_lies_at_its_height():
    builder = spectrogram.Builder()
    builder.add(sound(3))
    picture = builder.picture()
    row = picture.levels.mean(axis=1).argmax()
    assert abs((row + 0.5) * 8000 / spectrogram.ROWS - 1000) < 63
    image = Image.open(io.BytesIO(base64.b64decode(spectrogram.png(picture).split(",")[1])))
    assert image.size == (picture.levels.shape[1], spectrogram.ROWS)
    bright = np.asarray(image.convert("L")).mean(axis=1).argmax()
    assert spectrogram.ROWS - 1 - bright == row  # low frequencies lie at the bottom


def test_how_the_sound_is_cut_into_blocks_changes_nothing():
    whole, pieces = spectrogram.Builder(), spectrogram.Builder()
    wave = sound(4) * np.linspace(0, 1, 64_000, dtype=np.float32)
    whole.add(wave)
    for start in range(0, wave.size, 777):
        pieces.add(wave[start : start + 777])
    one, other = whole.picture(), pieces.picture()
    assert one.levels.shape == other.levels.shape
    assert np.abs(one.levels.astype(int) - other.levels.astype(int)).max() <= 1


def test_a_long_recording_stays_small_and_keeps_what_was_loud_for_a_moment():
    builder = spectrogram.Builder()
    for minute in range(8):
        block = np.zeros(60 * 16_000, np.float32)
        if minute == 4:
            block[: 16_000 // 2] = sound(0.5)
        builder.add(block)
    picture = builder.picture()
    assert picture.seconds == 480
    assert picture.levels.shape[1] <= spectrogram.COLUMNS
    loud = picture.levels.max(axis=0).argmax() / picture.levels.shape[1]
    assert abs(loud * 480 - 240) < 2


def test_of_less_than_a_moment_there_is_no_picture():
    builder = spectrogram.Builder()
    builder.add(np.zeros(900, np.float32))
    assert builder.picture() is None


def test_the_timeline_of_thousands_of_parts_is_as_small_as_that_of_few():
    segments = evidence("signs_of_synthesis", 0.9, 8000).segments
    assert len(segments) == 2000
    drawn = media_pictures.timeline(segments, 8000, "scores", "time")
    assert drawn.count("V") == 2 * media_pictures.COLUMNS
    assert ">2:13:20<" not in drawn  # marks are round
    assert re.search(r">\d:\d\d:00<", drawn)


def test_a_band_outside_what_is_usual_lies_beside_both_stripes():
    low, high = evidence("signs_of_synthesis", 0.9, 8).bands
    ends = media_pictures.extent((low, high))
    assert ends == (-60, -4)
    places = [float(x) for x in re.findall(r' x="([\d.]+)"', media_pictures.band(low, ends))]
    assert all(0 <= each <= media_pictures.SIDE for each in places)


def test_a_weight_that_lowers_the_score_points_left():
    def start(value):
        return float(re.search(r'class="fill" x="([\d.]+)"', media_pictures.weight(value, 1))[1])

    assert start(-0.5) == 15
    assert start(0.5) == 30
