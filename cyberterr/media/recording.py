"""What the decoding child tells of a recording beside its samples."""

from __future__ import annotations

import msgspec


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the file's headers, told before the first sample."""

    mime: str
    """type of the content, such as `audio/mpeg`; from its bytes, never from its name"""
    format: str
    """FFmpeg's short name of the container, such as `mp3` or `mov,mp4,m4a,3gp,3g2,mj2`"""
    codec: str
    """FFmpeg's name of the sound's codec, such as `pcm_s16le`"""
    bit_rate: int | None
    """bits per second of the sound; from the file's length where the header does not say"""
    rate: int
    """Hz, as stored"""
    channels: int
    seconds: float | None
    """as the header says; None where it does not"""
    film: bool
    """whether there is a moving picture beside the sound"""
    tracks: int
    """sound tracks; the first (default) one is judged"""
    tags: tuple[tuple[str, str], ...] = ()
    """metadata of container and track; hostile text"""


class Native(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on the samples at the stored rate, told after the last one."""

    seconds: float
    """that could be decoded"""
    edges_hz: tuple[float, ...]
    """n + 1 edges of n equal bands up to half the stored rate"""
    power_db: tuple[float, ...]
    """mean power in each band over frames that are not silent, dB relative to full scale"""
    peak: float
    """largest absolute sample, 1.0 is full scale"""
    clipped: float
    """share of samples in runs of three or more at the largest value"""
    offset: float
    """mean of the samples"""
    damaged: int
    """packets that could not be decoded and were skipped"""
    cut: bool
    """whether the file ends before its end"""
