"""Decode one hostile file in a process that has given up everything else."""

from __future__ import annotations

import importlib
import io
import os
import wave
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import av
import msgspec
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from cyberterr.contracts.examiner import RATE
from cyberterr.media import provenance, sandbox, wire
from cyberterr.media.measures import NativeMeasures
from cyberterr.media.recording import Container
from cyberterr.media.sandbox import Bounds
from cyberterr.media.wire import Refusal, Say

BLOCK = 10 * RATE
"""samples of one message"""
MOST_CHANNELS = 64
MOST_RATE = 768_000
"""Hz; what is above is no sound for people"""
MOST_TAGS = 64
LONGEST_TAG = 1_000

FORMATS = {
    "wav": "audio/wav",
    "w64": "audio/x-w64",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "amr": "audio/amr",
    "amrnb": "audio/amr",
    "amrwb": "audio/amr-wb",
    "ogg": "audio/ogg",
    "asf": "audio/x-ms-wma",
    "matroska": "video/x-matroska",
    "mov": "video/mp4",
}
"""FFmpeg's names of the containers that are opened, and their types (IANA, or as is usual)"""
ACCEPTED = "wav, aiff, flac, mp3, m4a/aac, ogg/opus, webm, amr, 3gp, wma, mp4, mov and mkv"


class Unfit(Exception):
    """The file holds no sound that can be judged."""


def warm() -> None:
    """Load what decoding loads on first use: behind closed doors no module can be read."""
    provenance.warm()
    for kind in ("audio", "video", "subtitles"):
        importlib.import_module(f"av.{kind}.stream")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE // 2)
        file.writeframes(bytes(RATE))
    sound.seek(0)
    native = NativeMeasures(RATE // 2)
    resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
    with _opened(Part(sound, sound.getbuffer().nbytes)) as source:
        stream = _sound(source)
        msgspec.json.encode(_container(source, stream, 1))
        for frame in _joined(_frames(source, stream, []), native.rate):
            for mono in resampler.resample(frame):
                native.add(mono.to_ndarray()[0])
    msgspec.json.encode(native.told(damaged=0, cut=False))


def run(file: BinaryIO, size: int, pipe: int, bounds: Bounds, trust: str) -> None:
    """Tell *pipe* everything about *file*, whose first *size* bytes count; never raises."""
    sandbox.limit(bounds)
    sandbox.still_alive(bounds)
    sandbox.close_doors()
    try:
        _decode(file, size, pipe, bounds, trust)
    except Unfit as why:
        _refuse(pipe, str(why), f"cyberterr verify reads {ACCEPTED}")
    except (MemoryError, OSError, ValueError, av.FFmpegError) as error:
        told = " ".join(str(error).split())[:120] or type(error).__name__
        _refuse(pipe, f"the sound cannot be decoded: {told}", f"cyberterr verify reads {ACCEPTED}")


class Part:
    """The first *size* bytes of a file that may still grow: what FFmpeg may read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int) -> bytes:
        """At most *count* bytes."""
        return self._file.read(max(0, min(count, self._size - self._file.tell())))

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to *place*."""
        if whence == os.SEEK_END:
            place, whence = self._size + place, os.SEEK_SET
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._file.tell()


def _decode(file: BinaryIO, size: int, pipe: int, bounds: Bounds, trust: str) -> None:
    with _opened(Part(file, size)) as source:
        stream = _sound(source)
        container = _container(source, stream, size)
        _tell(pipe, Say.CONTAINER, container)
        tags = [*source.metadata.items(), *stream.metadata.items()]
        origin = provenance.read(file, size, mime=container.mime, tags=tags, trust=trust)
        _tell(pipe, Say.PROVENANCE, origin)
        native = NativeMeasures(stream.codec_context.sample_rate)
        resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
        plain = AudioResampler(format="flt", layout="mono")
        damaged: list[str] = []
        pending: list[NDArray[np.float32]] = []
        waiting = 0
        decoded = 0.0
        for frame in _joined(_frames(source, stream, damaged), native.rate):
            decoded += frame.samples / frame.sample_rate
            if decoded > bounds.seconds:
                raise Unfit(f"it is longer than {bounds.seconds / 3600:.0f} hours")
            for same in plain.resample(frame):
                native.add(same.to_ndarray()[0])
            for mono in resampler.resample(frame):
                pending.append(mono.to_ndarray()[0])
                waiting += pending[-1].size
            if waiting >= BLOCK:
                pending, waiting = _send(pipe, pending, bounds), 0
        for mono in resampler.resample(None):
            pending.append(mono.to_ndarray()[0])
        if decoded == 0:
            raise Unfit("it has a sound track, but no sound in it could be decoded")
        _send(pipe, pending, bounds)
        expected = stream.duration * float(stream.time_base or 0) if stream.duration else 0.0
        cut = bool(damaged) or decoded < 0.98 * expected - 0.5 or _riff_is_cut(file, size)
        _tell(pipe, Say.NATIVE, native.told(damaged=len(damaged), cut=cut))


def _joined(frames: Iterable[AudioFrame], rate: int) -> Iterator[AudioFrame]:
    """*frames* as ones of about a second: every frame costs calls, however short it is."""
    waiting = AudioFifo()
    for frame in frames:
        if frame.sample_rate != rate:
            raise Unfit(f"the sample rate changes to {frame.sample_rate} Hz in the middle")
        frame.pts = None  # gaps in the time stamps are no sound
        waiting.write(frame)
        if waiting.samples >= rate and (joined := waiting.read()):
            yield joined
    if joined := waiting.read():
        yield joined


def _riff_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether a WAV file says it is longer than it is; FFmpeg takes the shorter for the truth."""
    file.seek(0)
    head = file.read(8)
    return head[:4] == b"RIFF" and size < int.from_bytes(head[4:], "little") < 0xFFFFFFFF


def _opened(file: Part) -> InputContainer:
    try:
        return av.open(
            file,
            mode="r",
            options={
                "format_whitelist": ",".join(FORMATS),
                "protocol_whitelist": "none",
                "use_absolute_path": "0",
            },
            metadata_errors="replace",
        )
    except av.FFmpegError as error:
        raise Unfit(f"no sound or film in a format that is read ({error.strerror})") from None


def _sound(source: InputContainer) -> AudioStream:
    if not source.streams.audio:
        raise Unfit("it has no sound track")
    stream = source.streams.audio[0]
    context = stream.codec_context
    if not 0 < context.sample_rate <= MOST_RATE:
        raise Unfit(f"a sample rate of {context.sample_rate} Hz is not read")
    if not 0 < context.channels <= MOST_CHANNELS:
        raise Unfit(f"{context.channels} channels are not read")
    context.thread_count = 1
    return stream


def _frames(
    source: InputContainer, stream: AudioStream, damaged: list[str]
) -> Iterator[AudioFrame]:
    """Frames of *stream* in order; what cannot be decoded is noted in *damaged* and passed over."""
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError) as error:
            damaged.append(str(error))  # the container breaks off here
            return
        if packet is None:
            return
        try:
            yield from stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError as error:
            if isinstance(error, EOFError):
                return
            damaged.append(str(error))


def _container(source: InputContainer, stream: AudioStream, size: int) -> Container:
    context = stream.codec_context
    seconds = source.duration / av.time_base if source.duration and source.duration > 0 else None
    rate = context.bit_rate or stream.codec_context.bit_rate or None
    film = any(
        not other.disposition & av.stream.Disposition.attached_pic for other in source.streams.video
    )
    if not rate and seconds and not film:
        rate = int(size * 8 / seconds)
    name = source.format.name
    mime = FORMATS.get(name.split(",")[0], "application/octet-stream")
    if mime.startswith("video/") and not film:
        mime = "audio/webm" if "matroska" in name else "audio/mp4"
    tags = [*source.metadata.items(), *stream.metadata.items()]
    return Container(
        mime=mime,
        format=name,
        codec=context.codec.name,
        bit_rate=rate,
        rate=context.sample_rate,
        channels=context.channels,
        seconds=seconds,
        film=film,
        tracks=len(source.streams.audio),
        tags=tuple((key[:LONGEST_TAG], value[:LONGEST_TAG]) for key, value in tags[:MOST_TAGS]),
    )


def _send(
    pipe: int, pending: list[NDArray[np.float32]], bounds: Bounds
) -> list[NDArray[np.float32]]:
    if pending:
        sound = np.nan_to_num(np.concatenate(pending), posinf=0.0, neginf=0.0)
        for start in range(0, sound.size, BLOCK):
            sandbox.rest()  # a reader that takes its time is no stall of ours
            wire.send(pipe, Say.SOUND, sound[start : start + BLOCK].tobytes())
            sandbox.still_alive(bounds)
    return []


def _tell(pipe: int, what: Say, record: msgspec.Struct | Refusal) -> None:
    wire.send(pipe, what, msgspec.json.encode(record))


def _refuse(pipe: int, message: str, hint: str) -> None:
    _tell(pipe, Say.REFUSED, Refusal(message, hint))
