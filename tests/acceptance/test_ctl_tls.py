"""TLS: `imprestctl` and the client library against a server with a certificate that it has signed itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from imprest_client import AdminClient, Connection
from imprest_client.errors import Unavailable
from tests.conftest import Database
from tests.support.ctl import Ctl
from tests.support.server import running_server
from tests.support.tls import Front, tls_front

SECRET = "s3cret"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


@pytest.fixture
async def front(database: Database, certificate: Path) -> AsyncIterator[Front]:
    async with running_server(database) as server:
        with tls_front(server.target, certificate) as front:
            yield front


@pytest.fixture
def credentials(front: Front, certificate: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(certificate.read_bytes())


async def test_an_encrypted_session(front: Front, certificate: Path, tmp_path: Path) -> None:
    config = {"IMPRESTCTL_CONFIG": str(tmp_path / "ctl.toml")}
    ctl = Ctl(f"localhost:{front.port}", {**config, "IMPRESTCTL_TOKEN": SECRET})
    await ctl.ok("accounts", "create", "acme", "--currency", "USD", "--tls", "--ca-file", str(certificate))
    assert front.tokens == [f"Bearer {SECRET}"]
    # A file of certificates says that there is TLS; so do the environment and a profile.
    await ctl.ok("accounts", "show", "acme", "--ca-file", str(certificate))
    by_variable = Ctl(f"127.0.0.1:{front.port}", {"IMPRESTCTL_TLS": "1", "IMPRESTCTL_CA_FILE": str(certificate)})
    await by_variable.ok("accounts", "show", "acme")
    await ctl.ok("profiles", "set", "prod", "--address", ctl.target, "--ca-file", str(certificate))
    shown = await ctl.ok("accounts", "show", "acme", "--profile", "prod", "--json")
    assert shown.json["account_id"] == "acme"
    listed = (await ctl.ok("profiles", "list", "--json")).json
    assert [(profile["tls"], profile["ca_file"]) for profile in listed] == [(True, str(certificate))]
    in_force = (await ctl.ok("profiles", "show", "--profile", "prod", "--json")).json
    assert {"setting": "tls", "value": "yes", "source": "profile prod"} in in_force


async def test_who_is_not_trusted_gets_nothing(front: Front, certificate: Path) -> None:
    ctl = Ctl(f"localhost:{front.port}", {"IMPRESTCTL_TOKEN": SECRET})
    stranger = await ctl("accounts", "list", "--tls", "--timeout", "5", "--json")
    assert (stranger.status, front.tokens) == (4, [])
    assert "--ca-file" in stranger.error["hint"]
    plain = await ctl("accounts", "list", "--timeout", "5", "--json")
    assert (plain.status, front.tokens) == (4, [])
    assert "--tls" in plain.error["hint"]
    for file, problem in ((Path("/dev/null"), "has no certificates"), (certificate.with_name("none"), "cannot read")):
        wrong = await ctl("accounts", "list", "--ca-file", str(file), "--json")
        assert (wrong.status, problem in wrong.error["message"]) == (2, True)


async def test_a_token_leaves_the_machine_encrypted_only() -> None:
    ctl = Ctl("imprest.example.com:7400", {"IMPRESTCTL_TOKEN": SECRET})
    refused = await ctl("accounts", "list", "--json")
    assert (refused.status, refused.error["reason"]) == (2, "USAGE")
    assert "in plain text" in refused.error["message"]
    assert SECRET not in refused.errors
    for target in ("imprest.example.com:7400", "10.0.0.1:1", "[2001:db8::1]:1", "0.0.0.0:1", "dns:///localhost:1"):
        with pytest.raises(ValueError, match="in plain text"):
            Connection(target, token=SECRET)
        Connection(target)
        Connection(target, token=SECRET, credentials=grpc.ssl_channel_credentials())
    for target in ("localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/run/imprest"):
        Connection(target, token=SECRET)


async def test_the_library(front: Front, credentials: grpc.ChannelCredentials) -> None:
    async with Connection(f"127.0.0.1:{front.port}", credentials=credentials, token=SECRET) as connection:
        await AdminClient(connection, currency="USD").create_account("acme")
    assert front.tokens == [f"Bearer {SECRET}"]
    async with Connection(f"127.0.0.1:{front.port}", timeout_s=5) as connection:
        with pytest.raises(Unavailable):
            await AdminClient(connection).get_account("acme")
