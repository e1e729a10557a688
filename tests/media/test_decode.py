"""Decoding: every container, whatever its name; hostile files cost themselves and nothing else."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cyberterr.errors import SourceError
from cyberterr.media import decode
from cyberterr.media.recording import Container, Native
from cyberterr.media.sandbox import Bounds
from tests.media import sounds

MUTANTS = 100


def decoded(path: Path, **options: object) -> tuple[np.ndarray, Container, Native]:
    with decode.opened(path, **options) as recording:
        sound = np.concatenate([np.empty(0, np.float32), *recording.blocks()])
        return sound, recording.container, recording.native


def refused(path: Path, **options: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        decoded(path, **options)
    return caught.value


def _loudness(sound: np.ndarray) -> np.ndarray:
    """Of every 50 ms, less the mean."""
    level = np.abs(sound[: sound.size // 800 * 800].reshape(-1, 800)).mean(axis=1)
    return level - level.mean()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    speech = sounds.samples()[: 5 * sounds.RATE]
    return {name: sounds.encoded(speech, name) for name in sounds.FORMATS}


@pytest.mark.parametrize("name", sounds.FORMATS)
def test_a_voice_message_is_heard_in_every_container(
    name: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "message"  # the name says nothing
    path.write_bytes(files[name])
    sound, container, native = decoded(path)
    assert abs(sound.size / sounds.RATE - 5) < 0.2
    assert abs(native.seconds - 5) < 0.2
    assert not native.cut
    assert container.codec.split("_")[0] in sounds.FORMATS[name][1] + " opus mp3float amrnb"
    heard, said = (_loudness(each) for each in (sound, sounds.samples()[: 5 * sounds.RATE]))
    alike = np.correlate(heard, said, "full").max() / np.sqrt((heard**2).sum() * (said**2).sum())
    assert alike > 0.85  # it is the same speech, not just as long


def test_lossless_copies_sound_the_same(files: dict[str, bytes], tmp_path: Path) -> None:
    heard = []
    for name in ("wav", "flac", "mkv", "aiff"):
        (tmp_path / name).write_bytes(files[name])
        heard.append(decoded(tmp_path / name)[0])
    for other in heard[1:]:
        assert np.array_equal(heard[0], other)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"x", "no sound"),
        (b"Bonjour, ceci est un texte.\n" * 50, "no sound"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://192.0.2.1/a.mp3\n", "no sound"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no sound"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "no sound"),
        (b"MThd\x00\x00\x00\x06\x00\x01" + bytes(40), "no sound"),
    ],
)
def test_what_is_no_recording_is_told_so(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "voice.mp3"
    path.write_bytes(content)
    error = refused(path)
    assert words in error.message
    assert error.exit_code == 3


def test_a_film_without_sound_is_told_so(tmp_path: Path) -> None:
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), "u1"), format="rgb24")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert "no sound track" in refused(path).message


def test_a_file_cut_anywhere_gives_what_is_there_or_a_sentence(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    for name in ("wav", "flac", "mp3", "m4a", "opus", "webm"):
        whole = files[name]
        path = tmp_path / name
        for size in range(1, len(whole), 4096):
            path.write_bytes(whole[:size])
            with contextlib.suppress(SourceError):
                sound, _, native = decoded(path)
                assert sound.size / sounds.RATE <= 5.2
                assert native.seconds <= 5.2


def test_a_cut_file_says_that_it_is_cut(files: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("wav", "flac"):
        path = tmp_path / name
        path.write_bytes(files[name][: len(files[name]) // 2])
        _, _, native = decoded(path)
        assert native.cut
        assert 1 < native.seconds < 4


@pytest.mark.parametrize("name", sounds.FORMATS)
def test_mutants_never_bring_the_decoder_down(
    name: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    dice = random.Random(name)
    path = tmp_path / "mutant"
    started = time.monotonic()
    for _ in range(MUTANTS):
        damaged = bytearray(files[name])
        for _ in range(dice.choice((1, 4, 40))):
            # Half of the hits go into the headers, where structure is.
            most = len(damaged) if dice.random() < 0.5 else min(len(damaged), 512)
            damaged[dice.randrange(most)] = dice.choice((0, 0xFF, dice.randrange(256)))
        path.write_bytes(damaged)
        with contextlib.suppress(SourceError):
            assert decoded(path)[2].seconds < 100
    assert time.monotonic() - started < 120


def test_more_sound_than_the_settings_allow_is_refused(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "long"
    path.write_bytes(files["flac"])
    assert "longer than" in refused(path, bounds=Bounds(seconds=3.0)).message


def test_a_bomb_of_silence_stays_within_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    path.write_bytes(sounds.encoded(np.zeros(1800 * sounds.RATE, "f4"), "flac"))
    assert path.stat().st_size < 1_000_000
    seconds = 0.0
    with decode.opened(path) as recording:
        for block in recording.blocks():
            seconds += block.size / sounds.RATE
            assert block.size <= 10 * sounds.RATE
    assert abs(seconds - 1800) < 0.2


@pytest.mark.parametrize(("rate", "layout"), [(192_000, "mono"), (48_000, "7.1")])
def test_studio_formats_are_heard(rate: int, layout: str, tmp_path: Path) -> None:
    path = tmp_path / "studio.wav"
    path.write_bytes(sounds.encoded(sounds.samples(), "wav", rate=rate, layout=layout))
    sound, container, _ = decoded(path)
    assert container.rate == rate
    assert sound.size > 8 * sounds.RATE


def test_what_is_appended_while_we_read_is_not_heard(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "growing.mp3"
    path.write_bytes(files["mp3"])
    with decode.opened(path) as recording:
        first = recording.sha256()
        with path.open("ab") as more:
            more.write(files["mp3"])
        sound = np.concatenate(list(recording.blocks()))
        assert recording.sha256() == first
        assert recording.size == len(files["mp3"])
    assert sound.size / sounds.RATE < 5.5


def test_a_reader_that_stops_early_leaves_no_child(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(sounds.encoded(sounds.noise(120), "wav"))
    with decode.opened(path) as recording:
        next(recording.blocks())
    _wait_until(lambda: not _children_of(decode._nursery._process.pid))


def test_children_end_with_the_program_that_asked(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(sounds.encoded(sounds.noise(120), "wav"))
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom cyberterr.media import decode\n"
        f"with decode.opened(Path({str(path)!r})) as r:\n"
        "    next(r.blocks()); print(decode._nursery._process.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as asking:
        assert asking.stdout
        nursery = int(asking.stdout.readline())
        assert _children_of(nursery)
        asking.send_signal(signal.SIGKILL)
    _wait_until(lambda: not Path(f"/proc/{nursery}").exists() and not _children_of(nursery))


def _children_of(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def _wait_until(true: object, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
