"""Certificates are checked."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from polos import ServerUnavailable
from polos.client.remote import Address, RemoteClient, line
from polos.client.remote.background import background
from polos.model.ports import StartRequest
from tests.client.remote.server import served
from tests.client.remote.test_line import started
from tests.support.processes import until


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that nobody but itself vouches for, with its key behind it."""
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(made), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    made.write_text(made.read_text() + key.read_text())
    return made


def test_only_a_certificate_that_is_known_will_do(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "FIRST_PATIENCE", 0.2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    request = StartRequest("greet", b"{}")
    with served(started, context) as server:
        assert server.url.startswith("https://")
        client = RemoteClient(Address.of(server.url))
        with pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            client.start(request)
        client.close()
        until(lambda: server.url not in background._clients, 30)
        assert not server.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert client.start(request).workflow_id == "greet"
        client.close()
