"""A bundle of certificates is read once, and again when its file has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.routes import read_certificates
from providers.validation import Invalid
from tests.faults.tls import with_own_authority


def test_read_certificates_reads_a_file_again_only_when_it_has_changed(tmp_path: Path) -> None:
    _, authority = with_own_authority(tmp_path)
    first = read_certificates(str(authority), "x")
    assert read_certificates(str(authority), "x") is first
    other = tmp_path / "other.pem"
    other.write_text(authority.read_text("utf-8"), "utf-8")
    other.replace(authority)
    assert read_certificates(str(authority), "x") is not first


def test_read_certificates_remembers_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text("", "utf-8")
    with pytest.raises(Invalid):
        read_certificates(str(path), "x")
    with_own_authority(tmp_path)
    assert read_certificates(str(path), "x").get_ca_certs()
