"""Settings: one frozen object from one TOML file; an unknown key is an error with its path."""

from __future__ import annotations

import contextlib
import os
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cyberterr.contracts.site import Site
from cyberterr.errors import UsageError


class Meter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[meter]`: when a flow ends, and how much memory flows may take."""

    idle_timeout_s: Annotated[int, Meta(ge=1, le=604_800)] = 120
    active_timeout_s: Annotated[int, Meta(ge=1, le=604_800)] = 1800
    max_open_flows: Annotated[int, Meta(ge=1, le=16_777_216)] = 262_144
    """about 450 bytes each; beyond it the flow idle longest is closed early, and counted"""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[retention]`: how long things are kept; 0 keeps nothing."""

    findings_days: Annotated[int, Meta(ge=0, le=36_500)] = 365
    flows_days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify]`: who is told, once per incident, from which severity on."""

    severity: Annotated[int, Meta(ge=0, le=100)] = 73
    per_hour: Annotated[int, Meta(ge=1, le=3600)] = 20
    """at most so many messages an hour; the rest is summed up in one line of the next message"""
    mail_to: tuple[str, ...] = ()
    mail_from: str = "cyberterr@localhost"
    smtp: str = "localhost:25"
    syslog: str = ""
    """host:port of a syslog server (RFC 5424 over UDP), or empty"""
    webhook: str = ""
    """URL that receives the ECS document by POST; https, or http to loopback"""


class Elastic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[elastic]`: where findings and decisions are sent too, through the local outbox.

    What is written to another file (`--store sqlite:///PATH`) stays there.
    """

    url: Annotated[str, Meta(pattern=r"^(https?://[^\s/@]+/?)?$")] = ""
    """like https://elastic.mairie.example:9200; empty: nothing is sent. http to loopback only"""
    flavour: Literal["elasticsearch", "opensearch"] = "elasticsearch"
    """opensearch needs the extra cyberterr[opensearch]"""
    api_key_file: str = ""
    """file with the API key as Elasticsearch gives it (`encoded`), readable by its owner only"""
    user: str = ""
    """name of a user, where there is no API key"""
    password_file: str = ""
    """file with that user's password, readable by its owner only"""
    ca: str = ""
    """PEM file of the authority that must have signed the server's certificate"""
    fingerprint: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f:]{64,95})?$")] = ""
    """SHA-256 of the server's certificate, instead of ca"""
    allow_http: bool = False
    """send over http to another machine too: keys and findings can be read on the way"""
    namespace: Annotated[str, Meta(pattern=r"^[a-z0-9_.]{1,100}$")] = "default"
    """last part of the data streams' names: which town or service this is"""
    outbox_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 512
    """room for what waits to be sent; beyond it the least severe goes first, and is counted"""
    outbox_days: Annotated[int, Meta(ge=1, le=36_500)] = 30
    """how long a document may wait; what is older is dropped, and counted"""
    health_days: Annotated[int, Meta(ge=1, le=36_500)] = 90
    """how long the cluster keeps what scans read; findings and decisions: [retention]"""
    link: Annotated[str, Meta(pattern=r"^(https?://\S*\{id\}\S*)?$")] = ""
    """address of a finding for people, with {id} in it: event.url of each document"""


class Media(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[media]`: how recordings, pictures and films are examined."""

    models: str = ""
    """a folder of further models, each a folder with card and graph; all of them vote"""
    trust_list: str = ""
    """PEM file of the authorities whose signed credentials (C2PA) are trusted; empty: none"""
    longest_hours: Annotated[float, Meta(gt=0, le=1000)] = 24.0
    """a longer recording is refused"""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    site: Site = Site()
    meter: Meter = Meter()
    retention: Retention = Retention()
    notify: Notify = Notify()
    elastic: Elastic = Elastic()
    media: Media = Media()


def home() -> Path:
    """The data folder: `CYBERTERR_HOME`, else `~/.local/share/cyberterr` (XDG)."""
    moved = os.environ.get("CYBERTERR_HOME")
    if moved:
        return Path(moved)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "cyberterr"


def account_key() -> bytes:
    """The secret of this installation that pseudonymises user names: 32 bytes, made once.

    Where the data folder cannot be written, a key of this run only.
    """
    path = home() / "account.key"
    fresh = secrets.token_bytes(32)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh)
        kept = path.read_bytes()
    except OSError:
        return fresh
    return kept if len(kept) == len(fresh) else fresh


def load(path: Path | None = None) -> Settings:
    """Read *path*, else `settings.toml` in the data folder, else the defaults.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has a key or value we do not know.
    """
    chosen = path or home() / "settings.toml"
    try:
        text = chosen.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise UsageError("no such settings file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings cannot be read: {error}", where=str(chosen)) from None
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
        settings.site.own()
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the settings are wrong: {error}",
            hint="docs/reference/settings.md lists every key",
            where=str(chosen),
        ) from None
    return settings
