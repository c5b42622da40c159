"""The environment is read once, strictly: whatever is odd is named in one line."""

from pathlib import Path

import pytest

from arbsite.base.conf import ArbConfig, BadSetting

ROOT = Path("/somewhere")
SECRET = "p4ssw0rd-of-a-provider"


def read(**environ: str) -> ArbConfig:
    return ArbConfig.from_environ(environ, root=ROOT)


def test_without_variables_everything_is_embedded_and_nothing_may_be_signed():
    config = read()

    assert config.embedded_database
    assert config.embedded_redis
    assert (config.bind_host, config.bind_port) == ("127.0.0.1", 9080)
    assert config.data_dir == ROOT / ".data"
    assert config.allowed_hosts == ("127.0.0.1", "localhost")
    assert not config.may_sign(chain_key="bsc", is_local=False)
    assert config.may_sign(chain_key="local", is_local=True)


def test_only_listed_chains_may_sign():
    config = read(ARB_LIVE="bsc, sepolia")

    assert config.may_sign(chain_key="sepolia", is_local=False)
    assert not config.may_sign(chain_key="ethereum", is_local=False)


def test_variables_of_other_programs_are_left_alone():
    read(HOME="/root", PATH="/bin", ARBITRARY="1", RPCBIND="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARB_BIND", "9080"),
        ("ARB_BIND", "127.0.0.1:0"),
        ("ARB_BIND", "127.0.0.1:99999"),
        ("ARB_BIND", "127.0.0.1:٣"),
        ("ARB_BIND", "http://127.0.0.1:9080"),
        ("ARB_BIND", "127.0.0.1:" + "9" * 5000),
        ("ARB_ADMIN_USER", "two words"),
        ("ARB_ADMIN_USER", "é"),
        ("ARB_LIVE", "BSC"),
        ("ARB_LIVE", "bsc;sepolia"),
        ("ARB_FORCE_LENDER", "anyone"),
        ("ARB_LOCAL_SEED", "-1"),
        ("ARB_LOCAL_SEED", "1.5"),
        ("ARB_LOCAL_BLOCK_TIME_S", "0"),
        ("ARB_LOCAL_BLOCK_TIME_S", "fast"),
        ("ARB_LOCAL_BLOCK_TIME_S", "61"),
        ("ARB_DATA_DIR", "~nobody-of-that-name/data"),
        ("ARB_TREASURY_BSC", "0x12"),
        ("ARB_TREASURY_BSC", "0x" + "0" * 40),
        ("ALLOWED_HOSTS", "https://example.org"),
        ("ALLOWED_HOSTS", "a b"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("DATABASE_URL", "mysql://u@h/db"),
        ("DATABASE_URL", "postgresql://u@h:port/db"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("REDIS_URL", "redis://127.0.0.1:99999/0"),
        ("RPC_BSC_HTTP", "ws://node"),
        ("RPC_BSC_HTTP", "http://good,notaurl"),
        ("RPC_BSC_HTTP", "http://["),
        ("RPC_BSC_HTTP", "https://node:port"),
        ("RPC_BSC_TESTNET_WS", "https://node"),
        ("RPC_BSC_SEND", "https://"),
        ("RPC_BSC_BUDGET", "0"),
        ("RPC_BSC_BUDGET", "many"),
        ("RPC_BSC_BUDGET", "-5"),
    ],
)
def test_a_malformed_value_is_named(name, value):
    with pytest.raises(BadSetting, match=name) as told:
        read(**{name: value})

    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["ARB_BNID", "ARB_", "ARB_LIVE_FILE", "ARB_TREASURY"])
def test_an_unknown_variable_of_ours_is_named(name):
    with pytest.raises(BadSetting, match=name):
        read(**{name: "x"})


def test_sqlite_is_refused_with_the_reason():
    with pytest.raises(BadSetting, match=r"SQLite.*exactly.*postgresql://"):
        read(DATABASE_URL="sqlite:///x")


def test_a_passphrase_in_the_environment_is_refused():
    with pytest.raises(BadSetting, match="KEYSTORE_PASSPHRASE_FILE") as told:
        read(KEYSTORE_PASSPHRASE=SECRET)

    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RPC_BSC_HTTP", f"ftp://node/{SECRET}"),
        ("RPC_BSC_WS", f"http://node/{SECRET}"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@h:port/db"),
        ("REDIS_URL", f"http://:{SECRET}@h/0"),
    ],
)
def test_a_refusal_never_repeats_a_secret(name, value):
    with pytest.raises(BadSetting, match=name) as told:
        read(**{name: value})

    assert SECRET not in str(told.value)


def test_secrets_stay_out_of_the_repr():
    config = read(
        DATABASE_URL=f"postgresql://u:{SECRET}@h/db",
        REDIS_URL=f"redis://:{SECRET}@h/0",
        SECRET_KEY=SECRET,
        ARB_ADMIN_PASSWORD=SECRET,
        RPC_BSC_HTTP=f"https://h/{SECRET}",
        RPC_BSC_WS=f"wss://h/{SECRET}",
        RPC_BSC_SEND=f"https://h/{SECRET}",
        RELAY_BLOX_AUTH=SECRET,
    )

    assert SECRET not in repr(config) + repr(config.rpc) + str(config)
    assert config.relay_auth == {"blox": SECRET}
    assert config.rpc["bsc"].send == (f"https://h/{SECRET}",)


def test_endpoints_keep_their_order_of_preference():
    config = read(RPC_BSC_TESTNET_HTTP="https://a, https://b ,http://c:8545/x")

    assert config.rpc["bsc_testnet"].http == ("https://a", "https://b", "http://c:8545/x")


@pytest.mark.parametrize(
    "name",
    [
        "SECRET_KEY", "ARB_ADMIN_PASSWORD", "DATABASE_URL", "REDIS_URL", "RPC_BSC_HTTP",
        "RELAY_BLOX_AUTH",
    ],
)  # fmt: skip
def test_a_secret_may_come_from_a_file(name, tmp_path):
    value = {"DATABASE_URL": "postgresql://u@h/d", "REDIS_URL": "redis://h/0"}.get(
        name, "https://h/k"
    )
    file = tmp_path / "secret"
    file.write_text(value + "\n")

    assert read(**{f"{name}_FILE": str(file)}) == read(**{name: value})


def test_a_secret_given_twice_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text("x")

    with pytest.raises(BadSetting, match="SECRET_KEY and SECRET_KEY_FILE"):
        read(SECRET_KEY="y", SECRET_KEY_FILE=str(file))


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"])
def test_a_secret_file_that_holds_no_secret_is_named(content, tmp_path):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadSetting, match="SECRET_KEY_FILE"):
        read(SECRET_KEY_FILE=str(file))


def test_the_passphrase_file_is_named_and_not_read(tmp_path):
    file = tmp_path / "passphrase"

    assert read(KEYSTORE_PASSPHRASE_FILE=str(file)).passphrase_file == str(file)


def test_a_treasury_is_kept_by_chain_key():
    address = "0x" + "ab" * 20

    assert read(ARB_TREASURY_BSC_TESTNET=address).treasuries == {"bsc_testnet": address}


def test_a_budget_stands_beside_endpoints_or_alone():
    config = read(RPC_BSC_BUDGET="25", RPC_BSC_WS="wss://a", RPC_BASE_BUDGET="7")
    assert (config.rpc["bsc"].calls_per_s, config.rpc["bsc"].ws) == (25, ("wss://a",))
    assert (config.rpc["base"].calls_per_s, config.rpc["base"].http) == (7, ())
    assert read(RPC_BSC_WS="wss://a").rpc["bsc"].calls_per_s is None
