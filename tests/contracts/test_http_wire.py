"""HTTP over TLS: the certificate is checked, and a connection is kept through TLS's own words."""

import datetime
import gc
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contracts import http_wire
from contracts.http_wire import HttpWire, WireFailed

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1, signed by itself; its file, with the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node of a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "node.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@contextmanager
def tls_node(certificate):
    """Answers every request of every connection, and keeps them; (url, bytes that came)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    came = bytearray()

    def serve():
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=answer, args=(plain,), daemon=True).start()

    def answer(plain):
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.settimeout(10)
            while data := connection.recv(65536):
                came.extend(data)
                connection.sendall(ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def fresh_context():
    http_wire._context.cache_clear()
    yield
    http_wire._context.cache_clear()


def test_a_tls_connection_is_opened_once_and_kept(certificate, fresh_context, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_node(certificate) as (url, _):
        wire = HttpWire(url)
        for _ in range(5):
            assert wire.post(b"{}", timeout_s=5) == (200, b"{}")
        assert wire.opened == 1
        wire.close()


def test_a_certificate_that_nobody_vouches_for_gets_no_byte(certificate, fresh_context):
    with tls_node(certificate) as (url, came):
        with pytest.raises(WireFailed, match="SSLCertVerificationError") as told:
            HttpWire(url).post(b"{}", timeout_s=5)
        assert told.value.sent is False
        assert came == b""


def test_a_client_that_nobody_closed_leaves_no_connection_open():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = HttpWire(f"http://127.0.0.1:{listener.getsockname()[1]}")
        asked = threading.Thread(target=wire.post, args=(b"{}",), kwargs={"timeout_s": 5})
        asked.start()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(65536)
            connection.sendall(ANSWER)
            asked.join(5)

            del wire, asked
            gc.collect()

            assert connection.recv(65536) == b""


@pytest.mark.parametrize("url", ["ftp://node", "http://", "node:8545"])
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ValueError, match="not an http or https URL"):
        HttpWire(url)
