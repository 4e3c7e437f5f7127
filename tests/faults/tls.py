"""Servers with certificates of their own. The keys are for the tests and nothing else."""

from __future__ import annotations

import ssl
from pathlib import Path

HOST = "llm.example.invalid"
"""The name in the certificate of :func:`with_own_authority`, besides 127.0.0.1. It has no address."""

_UNTRUSTED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVR2ckUDVI/IykGH3
Zm+4OcggCLRvIiWqlwc0jCMBRrqhRANCAAQzY7xrSTkpa0GD8+X7LCYTJ8QsOvHV
dMyIKnVFTpwIrNpsFVrI2KFjjTp8D1xARlnRG5A+yNf89bXBRxDpTgbk
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUDI2uHoHXaNt6Y0a0G/dcEoaRwCQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjIwMTY1M1oYDzIxMjYxMDI5
MjAxNjUzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQzY7xrSTkpa0GD8+X7LCYTJ8QsOvHVdMyIKnVFTpwIrNpsFVrI2KFj
jTp8D1xARlnRG5A+yNf89bXBRxDpTgbko1MwUTAdBgNVHQ4EFgQU0NyBzVD9OE3h
z5zPDBTeaAvRj8owHwYDVR0jBBgwFoAU0NyBzVD9OE3hz5zPDBTeaAvRj8owDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAqudbNT6Y5sgwD+lPPXQT
4YdOVqnEo7HWRkzQyuU6gOUCIAkn8cJkHcTYBCpwMR+RMuE919i/81IWYqMTjmlv
6CtZ
-----END CERTIFICATE-----
"""

_OWN_AUTHORITY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9cLANSK/8123M6aT
6Edznydwl21B+vxKlL7QSGOEwFihRANCAASYm+Uq+SwxVkbeYI7/HulLkRXpnyJd
YLb2OgvKynDgPfolJbEOTIafglYchbfOn6f7CCyVGH7526j8O25dnQCo
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUdfDd5qgko9MB4s5QQkopfmgef28wCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTbGxtLmV4YW1wbGUuaW52YWxpZDAgFw0yNjAxMDEwMDAwMDBa
GA8yMTI2MDEwMTAwMDAwMFowHjEcMBoGA1UEAwwTbGxtLmV4YW1wbGUuaW52YWxp
ZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJib5Sr5LDFWRt5gjv8e6UuRFemf
Il1gtvY6C8rKcOA9+iUlsQ5Mhp+CVhyFt86fp/sILJUYfvnbqPw7bl2dAKijOTA3
MCQGA1UdEQQdMBuCE2xsbS5leGFtcGxlLmludmFsaWSHBH8AAAEwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA2t43Ceis55nEfqEv4EyVB8wWujed
AjKMSbJPvb7OAHQCIA5Tc+/J/OlXxTd0hVULxknZq5cai8emFQtrTf2XaUfh
-----END CERTIFICATE-----
"""


def untrusted(folder: Path) -> ssl.SSLContext:
    """Return the context of a server that no authority vouches for. ``folder`` takes the file that it is read from."""
    return _context(folder / "untrusted.pem", _UNTRUSTED)


def with_own_authority(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return the context of a server that is its own authority, and the file of that authority, in ``folder``."""
    authority = folder / "authority.pem"
    authority.write_text(_OWN_AUTHORITY[_OWN_AUTHORITY.index("-----BEGIN CERTIFICATE") :])
    return _context(folder / "server.pem", _OWN_AUTHORITY), authority


def _context(path: Path, pem: str) -> ssl.SSLContext:
    path.write_text(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
