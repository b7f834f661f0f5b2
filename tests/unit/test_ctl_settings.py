"""Which server imprestctl asks, as whom: options, environment, profiles."""

import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.settings import (
    Options,
    Profile,
    Profiles,
    Settings,
    profiles_path,
    read_profiles,
    resolve,
    write_profiles,
)

PROFILES = Profiles(
    Path("/etc/imprestctl.toml"),
    default="local",
    by_name={
        "local": Profile(address="local:1"),
        "prod": Profile(address="prod:1", token="prod-token", zone="Europe/Berlin"),
        "zone": Profile(zone="Asia/Tokyo"),
    },
)
NONE = Profiles(PROFILES.path)


def in_force(
    options: Options | None = None, environment: Mapping[str, str] | None = None, profiles: Profiles = PROFILES
) -> Settings:
    return resolve(options or Options(), environment or {}, profiles)


def test_without_anything_it_is_the_local_server() -> None:
    settings = in_force(profiles=NONE)
    assert (settings.address, settings.token, str(settings.zone), settings.timeout_s, settings.profile) == (
        "127.0.0.1:7400",
        None,
        "UTC",
        10.0,
        None,
    )
    assert settings.sources == {
        "profile": "",
        "address": "default",
        "tls": "",
        "ca_file": "",
        "token": "",
        "zone": "default",
        "timeout": "default",
    }


ENVIRONMENT = {
    "IMPRESTCTL_ADDRESS": "env:1",
    "IMPRESTCTL_TOKEN": "env-token",
    "IMPRESTCTL_ZONE": "Asia/Kolkata",
    "IMPRESTCTL_TIMEOUT": "2.5",
}


@pytest.mark.parametrize(
    ("options", "environment", "address", "token", "zone"),
    [
        (Options(), {}, "local:1", None, "UTC"),
        (Options(profile="prod"), {}, "prod:1", "prod-token", "Europe/Berlin"),
        (Options(), {"IMPRESTCTL_PROFILE": "prod"}, "prod:1", "prod-token", "Europe/Berlin"),
        (Options(), ENVIRONMENT, "env:1", "env-token", "Asia/Kolkata"),
        # A profile by option comes before the environment, one by variable after it.
        (Options(profile="prod"), ENVIRONMENT, "prod:1", "prod-token", "Europe/Berlin"),
        (Options(), {**ENVIRONMENT, "IMPRESTCTL_PROFILE": "prod"}, "env:1", "env-token", "Asia/Kolkata"),
        # What the chosen profile leaves open comes from further on.
        (Options(profile="zone"), ENVIRONMENT, "env:1", "env-token", "Asia/Tokyo"),
        (Options(profile="local"), {"IMPRESTCTL_TOKEN": "env-token"}, "local:1", "env-token", "UTC"),
        # Options come before everything.
        (Options(address="opt:1", token="t", zone="UTC"), ENVIRONMENT, "opt:1", "t", "UTC"),
        (Options(profile="prod", zone="UTC"), {}, "prod:1", "prod-token", "UTC"),
        # An empty variable says nothing.
        (Options(), {"IMPRESTCTL_ADDRESS": "", "IMPRESTCTL_PROFILE": ""}, "local:1", None, "UTC"),
    ],
)
def test_what_comes_first(
    options: Options, environment: dict[str, str], address: str, token: str | None, zone: str
) -> None:
    settings = in_force(options, environment)
    assert (settings.address, settings.token, str(settings.zone)) == (address, token, zone)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (Options(profile="prod", address="elsewhere:1"), {}),
        (Options(), {"IMPRESTCTL_PROFILE": "prod", "IMPRESTCTL_ADDRESS": "elsewhere:1"}),
    ],
)
def test_a_profiles_token_goes_to_no_other_address(options: Options, environment: dict[str, str]) -> None:
    settings = in_force(options, environment)
    assert (settings.address, settings.token) == ("elsewhere:1", None)
    assert settings.warnings == ("the token of profile prod is not sent: the address is not that profile's",)


def test_a_token_that_others_can_read_is_remarked() -> None:
    settings = in_force(Options(profile="prod"), profiles=replace(PROFILES, is_private=False))
    assert settings.warnings == ("others can read the token in /etc/imprestctl.toml: chmod 600 it",)
    assert in_force(profiles=replace(PROFILES, is_private=False)).warnings == ()


SECURE = Profiles(NONE.path, by_name={"prod": Profile(address="prod:1", ca_file="/ca.pem")})


@pytest.mark.parametrize(
    ("options", "environment", "tls", "ca_file"),
    [
        (Options(), {}, False, None),
        (Options(tls=True), {}, True, None),
        (Options(), {"IMPRESTCTL_TLS": "yes"}, True, None),
        (Options(), {"IMPRESTCTL_TLS": "0"}, False, None),
        (Options(), {"IMPRESTCTL_CA_FILE": "/env.pem"}, True, "/env.pem"),
        (Options(ca_file="/opt.pem"), {"IMPRESTCTL_CA_FILE": "/env.pem"}, True, "/opt.pem"),
        (Options(profile="prod"), {}, True, "/ca.pem"),
        (Options(profile="prod", ca_file="/opt.pem"), {}, True, "/opt.pem"),
        # How a profile's server is reached says nothing about another one.
        (Options(profile="prod", address="elsewhere:1"), {}, False, None),
        (Options(profile="prod", address="elsewhere:1", tls=True), {}, True, None),
    ],
)
def test_tls(options: Options, environment: dict[str, str], tls: bool, ca_file: str | None) -> None:
    settings = in_force(options, environment, SECURE)
    assert (settings.tls, settings.ca_file) == (tls, ca_file)


def test_the_timeout() -> None:
    assert in_force(environment={"IMPRESTCTL_TIMEOUT": "2.5"}).timeout_s == 2.5
    assert in_force(Options(timeout_s=3.0), {"IMPRESTCTL_TIMEOUT": "2.5"}).timeout_s == 3.0


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (Options(profile="nobody"), {}),
        (Options(), {"IMPRESTCTL_PROFILE": "nobody"}),
        (Options(), {"IMPRESTCTL_ADRESS": "x:1"}),
        (Options(), {"IMPRESTCTL_TIMEOUT": "soon"}),
        (Options(), {"IMPRESTCTL_TIMEOUT": "-1"}),
        (Options(), {"IMPRESTCTL_TIMEOUT": "nan"}),
        (Options(zone="Mars"), {}),
        *(
            (Options(address=address), {})
            for address in ("localhost", "http://x:1", "x:0", "x:65536", "x y:1", ":7400")
        ),
    ],
)
def test_what_is_refused(options: Options, environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        in_force(options, environment)


def test_an_ipv6_address() -> None:
    assert in_force(Options(address="[::1]:7400")).address == "[::1]:7400"


def test_options_may_stand_before_the_command_too() -> None:
    outer = Options(profile="prod", address="outer:1", timeout_s=5.0, json=True)
    assert Options(address="inner:1", zone="UTC").over(outer) == Options(
        profile="prod", address="inner:1", zone="UTC", timeout_s=5.0, json=True
    )


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


def test_profiles_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "imprestctl.toml"
    assert read_profiles(path) == Profiles(path)
    odd = Profile(address="x:1", token='quo"te \\ back #€')
    written = replace(PROFILES, path=path, by_name={**PROFILES.by_name, "odd-1_x": odd})
    write_profiles(written)
    assert read_profiles(path) == written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    assert not read_profiles(path).is_private
    write_profiles(replace(written, default=None, by_name={}))
    assert read_profiles(path) == Profiles(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "a file that is replaced is private again"


def test_a_token_with_a_line_break_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "imprestctl.toml"
    with pytest.raises(UsageError):
        write_profiles(Profiles(path, by_name={"a": Profile(token="a\nb")}))
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        "profiles = 1",
        "default = 1",
        "[profiles]\na = 1",
        "[profiles.a]\nadress = 'x:1'",
        "[profiles.a]\naddress = 1",
        "other = 'x'",
        "[broken",
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "imprestctl.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as error:
        read_profiles(path)
    assert str(path) in error.value.message


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert profiles_path({"IMPRESTCTL_CONFIG": "/x/y.toml"}) == Path("/x/y.toml")
    assert profiles_path({}).parts[-2:] == ("imprest", "imprestctl.toml")
