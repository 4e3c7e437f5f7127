"""A server whose certificate nobody vouches for.

The key is for this and nothing else.
"""

from __future__ import annotations

import ssl
from pathlib import Path

_PEM = """\
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


def untrusted(folder: Path) -> ssl.SSLContext:
    """The context of such a server. ``folder`` takes a file that :mod:`ssl` wants to read itself."""
    path = folder / "untrusted.pem"
    path.write_text(_PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
