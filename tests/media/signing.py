"""An authority and a signer that tests make, and recordings signed by it (C2PA)."""

from __future__ import annotations

import datetime as dt
import io
from functools import cache

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
SIGNER = "Mairie d'Essai"
MIMES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "mp4": "audio/mp4",
    "flac": "audio/flac",
}


def _name(organisation: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)])


def _certificate(
    key: ec.EllipticCurvePrivateKey, subject: str, by: ec.EllipticCurvePrivateKey, issuer: str
) -> x509.Certificate:
    now, authority = dt.datetime.now(dt.UTC), key is by
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=9))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                **usage,
                digital_signature=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
    )
    if not authority:
        extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(extended, critical=False)
    return builder.sign(by, hashes.SHA256())


@cache
def _signer() -> tuple[bytes, bytes, str]:
    """Chain and key of the signer, and the authority, all PEM."""
    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate(root, "Autorité d'Essai", root, "Autorité d'Essai")
    own = _certificate(key, SIGNER, root, "Autorité d'Essai")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    anchor = authority.public_bytes(pem)
    return own.public_bytes(pem) + anchor, secret, anchor.decode()


def authority() -> str:
    """PEM of the authority that vouches for the signer."""
    return _signer()[2]


def signed(
    data: bytes, mime: str, *, source_type: str = CAMERA, remote: str = "", parent: bytes = b""
) -> bytes:
    """*data* with credentials; with *remote*, they are only said to be at that address."""
    chain, secret, _ = _signer()
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=secret, ta_url=None)
    action = {"action": "c2pa.created", "digitalSourceType": source_type}
    manifest = {
        "claim_generator_info": [{"name": "Dictaphone", "version": "1"}],
        "assertions": [] if parent else [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    with c2pa.Builder(manifest) as builder, c2pa.Signer.from_info(info) as signer:
        if parent:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            origin = {"title": "before", "relationship": "parentOf"}
            builder.add_ingredient(origin, mime, io.BytesIO(parent))
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        out = io.BytesIO()
        builder.sign(signer, mime, io.BytesIO(data), out)
    return out.getvalue()
