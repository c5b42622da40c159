"""One running product for the black-box tests, and a signed-in client."""

from collections.abc import Iterator

import pytest

from tests.e2e.product import Client, Product, wait_for


@pytest.fixture(scope="session")
def product(tmp_path_factory) -> Iterator[Product]:
    it = Product(tmp_path_factory.mktemp("product") / "data", more={"ARB_LOCAL_SEED": "90210"})
    it.start()
    yield it
    try:
        status = it.stop()
    finally:
        it.kill()
    assert status == 0, "\n".join(it.lines[-20:])


@pytest.fixture(scope="session")
def client(product) -> Client:
    signed_in = Client(product.url)
    signed_in.sign_in("admin", product.password)
    return signed_in


@pytest.fixture
def disarmed(client):
    """Nobody but the person executes while the test runs."""
    wait_for("armed", lambda: client.get("/api/fast-mode/status")["state"] == "armed", within_s=60)
    assert client.post("/api/fast-mode/disable")[0] == 200
    yield
    wait_for(
        "armed again",
        lambda: client.post("/api/fast-mode/enable", {"chain": "local"})[0] == 200,
        within_s=60,
    )
