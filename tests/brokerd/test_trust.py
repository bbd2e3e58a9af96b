"""Whose word is taken for who a server is, and is a change of that seen?"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from brokerd.trust import Trust
from brokershim.errors import ServerUnproven
from tests.support.certificate import self_signed


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "vault.internal")[1]


def _refused(path: Path) -> str:
    with pytest.raises(ServerUnproven) as caught:
        Trust(str(path)).context()
    assert caught.value.details["sent"] is False
    assert caught.value.__context__ is None
    return caught.value.message


def test_a_file_of_authorities_stands_for_no_others(authority: Path) -> None:
    context = Trust(str(authority)).context()
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_link_is_followed(authority: Path, tmp_path: Path) -> None:
    (tmp_path / "link.pem").symlink_to(authority)
    assert len(Trust(str(tmp_path / "link.pem")).context().get_ca_certs()) == 1


def test_it_is_read_anew_for_each_connection(authority: Path, tmp_path: Path) -> None:
    trust = Trust(str(authority))
    trust.context()
    (tmp_path / "newer").mkdir()
    newer = self_signed(tmp_path / "newer", "vault.internal")[1]
    newer.replace(authority)
    (found,) = trust.context().get_ca_certs(binary_form=True)
    assert found == ssl.PEM_cert_to_DER_cert(authority.read_text())


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_one_that_others_may_write_is_refused(authority: Path, mode: int) -> None:
    authority.chmod(mode)
    assert "can be written by others" in _refused(authority)


def test_so_is_one_that_others_could_put_another_in_the_place_of(authority: Path) -> None:
    authority.parent.chmod(0o777)
    assert f"who can change {authority.parent}" in _refused(authority)


def test_one_that_is_gone_is_refused(tmp_path: Path) -> None:
    assert "No such file" in _refused(tmp_path / "gone.pem")


def test_nothing_is_waited_for(tmp_path: Path) -> None:
    """A pipe in its place would hold up the thread for ever."""
    os.mkfifo(tmp_path / "pipe.pem")
    assert "is not a regular file" in _refused(tmp_path / "pipe.pem")


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\n"])
def test_one_that_holds_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    assert "holds no certificate" in _refused(tmp_path / "ca.pem")


def test_our_own_proof_is_put_there() -> None:
    seen: list[ssl.SSLContext] = []
    context = Trust(prove=seen.append).context()
    assert seen == [context]
    assert "append" not in repr(Trust(prove=seen.append))
