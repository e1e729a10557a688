"""Signed credentials of a file (C2PA): whether they hold, who signed, what they declare.

Nothing is fetched: no remote manifest, no certificate status, no time stamp.
C2PA Technical Specification 2.2, chapters 15 (validation) and 18 (standard assertions).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Declared, Fact, Signature
from cyberterr.errors import UsageError
from cyberterr.media import source_type

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LARGEST_LIST = 4 << 20
"""bytes of a trust list"""
LARGEST_CHECKED = 100 << 20
"""bytes of a file whose signature is checked: the library holds as much in memory, and
takes a want of memory for an alteration"""
LONGEST = 200
"""characters that are kept of a name in the credentials"""
MOST_PARTS = 32
"""manifests that are looked at: the file's own, then what it was made from"""

_QUIET = {"remote_manifest_fetch": False, "ocsp_fetch": False}
"""nothing is fetched"""
_CHANGED = {
    "assertion.dataHash.mismatch",
    "assertion.bmffHash.mismatch",
    "assertion.boxesHash.mismatch",
    "assertion.collectionHash.mismatch",
    "assertion.hashedURI.mismatch",
    "claimSignature.mismatch",
}
"""codes that say: the content or the claim is not what was signed"""
_ELSEWHERE = Text(
    "Credentials kept elsewhere, not fetched", "Signature hébergée ailleurs, non consultée"
)
_NOT_READ = Text(
    "Signed credentials are not looked for in this format",
    "Signature non recherchée dans ce format",
)
_DAMAGED = Text(
    "The file is damaged: signed credentials cannot be looked for",
    "Fichier abîmé : signature impossible à chercher",
)
_TOO_LARGE = Text(
    "Signed, but too large for the signature to be checked here",
    "Signé, mais trop gros pour que la signature soit vérifiée ici",
)
_METADATA = ("c2pa.metadata", "cawg.metadata", "stds.iptc")
"""assertions that hold fields of IPTC"""


class Signed(NamedTuple):
    """What the credentials say."""

    signature: Signature = "none"
    signer: str = ""
    declared: tuple[Declared, ...] = ()
    facts: tuple[Fact, ...] = ()


def trust_list(path: Path) -> str:
    """The certificates of the authorities that are trusted, PEM, from the file *path*.

    Raises:
        UsageError: it cannot be read, or holds no certificate.
    """
    from cryptography import x509

    where = f"[media] trust_list {path}"
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_LIST + 1)
        if len(data) > LARGEST_LIST:
            raise ValueError("it is larger than 4 MiB")
        x509.load_pem_x509_certificates(data)
        return data.decode()
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"the list of trusted signers cannot be used: {told}",
            hint="name a file of certificates in PEM form, one after the other",
            where=where,
        ) from None


def read(file: BinaryIO, size: int, *, mime: str, trust: str) -> Signed:
    """What the credentials in the first *size* bytes of *file* say; never raises for content.

    Args:
        file: open for reading, not closed.
        size: bytes that count.
        mime: type of the content.
        trust: PEM of the authorities that are trusted; where empty, nobody is.
    """
    import c2pa

    checked = size <= LARGEST_CHECKED
    verify = {**_QUIET, "verify_trust": True, "verify_after_reading": checked}
    settings: dict[str, object] = {"verify": verify}
    if trust:
        settings["trust"] = {"trust_anchors": trust}
    whole = _Whole(file, size)
    try:
        with (
            c2pa.Settings.from_dict(settings) as chosen,
            c2pa.Context(chosen) as context,
            c2pa.Reader(mime, whole, context=context) as reader,
        ):
            state = reader.get_validation_state() or ""
            store = msgspec.json.decode(reader.json(), type=_Store)
    except c2pa.C2paError as error:
        return _unread(error, mime)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Signed("unreadable")
    if not checked:
        return _without("credentials_not_checked", mime, _TOO_LARGE, "unreadable")
    if whole.failed:
        return Signed("unreadable")
    active = store.manifests.get(store.active_manifest)
    if active is None:
        return Signed("unreadable")
    return Signed(
        signature=_signature(state, store, trusting=bool(trust)),
        signer=active.signature_info.name,
        declared=tuple(_declared(store, active)),
        facts=tuple(_facts(active)),
    )


class _Info(msgspec.Struct, frozen=True):
    issuer: str | None = None
    common_name: str | None = None
    time: str | None = None

    @property
    def name(self) -> str:
        """Organisation and name of the certificate."""
        names = dict.fromkeys(each for each in (self.issuer, self.common_name) if each)
        return " · ".join(names)[:LONGEST]


class _Assertion(msgspec.Struct, frozen=True):
    label: str = ""
    data: object = None


class _Ingredient(msgspec.Struct, frozen=True):
    relationship: str = ""
    active_manifest: str | None = None


class _Generator(msgspec.Struct, frozen=True):
    name: str = ""
    version: str | None = None


class _Manifest(msgspec.Struct, frozen=True):
    signature_info: _Info = _Info()
    assertions: list[_Assertion] = []
    ingredients: list[_Ingredient] = []
    claim_generator_info: list[_Generator] = []


class _Code(msgspec.Struct, frozen=True):
    code: str = ""


class _Codes(msgspec.Struct, frozen=True):
    failure: list[_Code] = []


class _Results(msgspec.Struct, frozen=True):
    active: _Codes = msgspec.field(default=_Codes(), name="activeManifest")


class _Store(msgspec.Struct, frozen=True):
    active_manifest: str = ""
    manifests: dict[str, _Manifest] = {}
    validation_results: _Results = _Results()


class _Whole(io.RawIOBase):
    """The first *size* bytes of *file*, and nothing that it grew since."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._place = file, size, 0
        self.failed = False

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")[: max(0, self._size - self._place)]
        try:
            self._file.seek(self._place)
            count = self._file.readinto(room) or 0  # type: ignore[attr-defined]  # every file has
        except (OSError, MemoryError):
            self.failed = True
            raise
        self._place += count
        return count

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + place < 0:
            raise ValueError("before the start")
        self._place = start + place
        return self._place

    def tell(self) -> int:
        return self._place


def _unread(error: Exception, mime: str) -> Signed:
    """Why there are no credentials, or none that can be read."""
    import c2pa

    told = str(error)
    if isinstance(error, c2pa.C2paError.ManifestNotFound):
        return Signed()
    if told.startswith("Remote"):
        address = told.rpartition(" ")[2] if "://" in told else ""
        return _without("remote_credentials", address, _ELSEWHERE)
    if isinstance(error, c2pa.C2paError.NotSupported):
        return _without("credentials_not_read", mime, _NOT_READ)
    if told.startswith("Io:") or "asset could not be parsed" in told:
        return _without("credentials_not_read", mime, _DAMAGED)  # there may be none
    return Signed("unreadable")


def _without(name: str, value: str, label: Text, signature: Signature = "none") -> Signed:
    return Signed(signature, facts=(Fact(name=name, value=value[:LONGEST], label=label),))


def _signature(state: str, store: _Store, *, trusting: bool) -> Signature:
    failures = {each.code for each in store.validation_results.active.failure}
    if failures & _CHANGED:
        return "altered"
    if state == "Trusted" and trusting:
        return "trusted"
    if state in ("Trusted", "Valid"):
        return "unknown_signer"
    others = {code for code in failures if not code.startswith("signingCredential.")}
    return "unreadable" if others or not failures else "unknown_signer"


def _declared(store: _Store, active: _Manifest) -> Iterator[Declared]:
    """What the file's own manifest and those of its parts say of how the content was made."""
    waiting, seen = [active], 0
    told: set[tuple[str, str]] = set()
    while waiting and seen < MOST_PARTS:
        manifest = waiting.pop(0)
        seen += 1
        for field, value in _source_types(manifest):
            declared = source_type.declared(field, value)
            if declared and (field, value) not in told:
                told.add((field, value))
                yield declared
        for part in manifest.ingredients[:MOST_PARTS]:
            # What was only given to a tool, such as a prompt or a voice, is no part of the file.
            if part.relationship != "inputTo" and part.active_manifest in store.manifests:
                waiting.append(store.manifests[part.active_manifest])


def _source_types(manifest: _Manifest) -> Iterator[tuple[str, str]]:
    for assertion in manifest.assertions:
        data = assertion.data
        if not isinstance(data, dict):
            continue
        if assertion.label.startswith("c2pa.actions"):
            actions = data.get("actions")
            for action in actions if isinstance(actions, list) else []:
                value = action.get("digitalSourceType") if isinstance(action, dict) else None
                if isinstance(value, str):
                    yield f"C2PA {str(action.get('action', ''))[:LONGEST]}", value
        elif assertion.label.startswith(_METADATA):
            value = data.get("Iptc4xmpExt:DigitalSourceType")
            if isinstance(value, str):
                yield "C2PA Iptc4xmpExt:DigitalSourceType", value


def _facts(active: _Manifest) -> Iterator[Fact]:
    for tool in active.claim_generator_info[:1]:
        value = f"{tool.name} {tool.version or ''}".strip()[:LONGEST]
        label = Text("Signed with", "Signé avec")
        yield Fact(name="claim_generator", value=value, label=label)
    if active.signature_info.time:
        label = Text("Signed at, as it says", "Signé le, selon lui")
        yield Fact(name="signed_at", value=active.signature_info.time[:LONGEST], label=label)
