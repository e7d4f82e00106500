"""Makes a private certificate authority (CA) and server certificates, as PEM bytes."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
# On some platforms Go, so also Docker and Prometheus, rejects certificates with a longer life.
CERTIFICATE_DAYS = 820
RENEW_DAYS = 30


def make_key() -> bytes:
    """Returns a new private key on P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_ca(key_pem: bytes, name: str) -> bytes:
    """Returns a self-signed CA certificate; the CA may sign certificates but no other CA."""
    key = _key(key_pem)
    subject = _subject(name)
    builder = _builder(subject, subject, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_ca_usage(), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def make_certificate(
    ca_pem: bytes, ca_key_pem: bytes, key_pem: bytes, names: Sequence[str]
) -> bytes:
    """Returns a server certificate for these DNS names and IP addresses, signed by the CA."""
    ca = x509.load_pem_x509_certificate(ca_pem)
    ca_key = _key(ca_key_pem)
    key = _key(key_pem).public_key()
    builder = _builder(_subject(names[0]), ca.subject, key, CERTIFICATE_DAYS)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_alternative_names(names), critical=False)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(usage, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def is_valid(
    certificate_pem: bytes | None, key_pem: bytes, ca_pem: bytes, names: Sequence[str]
) -> bool:
    """Returns whether a certificate fits this key, is signed by this CA, covers all names and expires no time soon."""
    if certificate_pem is None:
        return False
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    renew_from = certificate.not_valid_after_utc - dt.timedelta(days=RENEW_DAYS)
    return (
        certificate.public_key() == _key(key_pem).public_key()
        and _now() < renew_from
        and set(_alternative_names(names)) <= set(_names_of(certificate))
    )


def _names_of(certificate: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return []


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the private key is not on an elliptic curve")
    return key


def _subject(name: str) -> x509.Name:
    # RFC 5280 limits common names to 64 characters. Clients check the alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    begin = _now() - dt.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
