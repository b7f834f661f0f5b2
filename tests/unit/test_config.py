"""Settings: where they come from, and that a bad one is refused in words."""

import base64
import json
import os
from pathlib import Path

import pytest

from imprest_server.config import Settings, SettingsError, default_data_dir, load_settings
from imprest_server.worker import orders


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("IMPREST_"):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.listen == "127.0.0.1:7400"
    assert settings.data_dir == default_data_dir()
    assert settings.workers == 1
    assert settings.low_balance_cooldown_s == 3_600
    assert (settings.default_hold_ttl_s, settings.late_commit_window_s, settings.batch_max) == (900, 604_800, 250)


def test_options_win_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPREST_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("IMPREST_BATCH_MAX", "1")
    settings = load_settings(listen="127.0.0.1:2", batch_max=None)
    assert (settings.listen, settings.batch_max) == ("127.0.0.1:2", 1)


@pytest.mark.parametrize("listen", ["127.0.0.1:7400", "127.8.9.10:1", "[::1]:7400", "localhost:0"])
def test_loopback_is_accepted(listen: str) -> None:
    assert load_settings(listen=listen).listen == listen


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:7400", "[::]:7400", ":7400", "192.168.1.2:7400", "example.com:7400", "*:1"]
)
def test_other_addresses_are_refused(listen: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^--listen: .* can be reached from other machines.*listen on 127\.0\.0\.1"
    ):
        load_settings(listen=listen)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "7400"]
)
def test_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(SettingsError, match="give it as host:port"):
        load_settings(listen=listen)


def test_each_bad_setting_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPREST_BATCH_MAX", "0")
    monkeypatch.setenv("IMPREST_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as refusal:
        load_settings(queue_max="many")
    names = [line.split(":")[0] for line in str(refusal.value).splitlines()]
    assert sorted(names) == ["--queue-max", "IMPREST_BATCH_MAX", "IMPREST_LOG_LEVEL"]


def test_a_bad_key_for_secrets_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPREST_SECRETS_KEY", "hunter2")
    monkeypatch.setenv("IMPREST_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, 10.0.0.1/8")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    lines = sorted(str(refusal.value).splitlines())
    assert [line.split(":")[0] for line in lines] == ["IMPREST_SECRETS_KEY", "IMPREST_WEBHOOK_ALLOWED_NETWORKS"]
    assert "openssl rand -base64 32" in lines[0] and "hunter2" not in str(refusal.value)


def test_workers_are_told_the_secrets() -> None:
    """By their supervisor, in a line that nobody else reads; settings shown elsewhere have asterisks instead."""
    key = base64.b64encode(bytes(range(32))).decode()
    settings = load_settings(
        secrets_key=key, smtp_password="hunter2", database_url="postgresql://app:never@db/imprest", workers=2
    )
    told = json.loads(orders(settings, "dsn"))
    assert Settings(**told["settings"]) == settings.model_copy(update={"database_url": None})
    assert told["dsn"] == "dsn" and "never" not in str(told)
    assert key not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_secrets_stay_out_of_sight() -> None:
    settings = load_settings(database_url="postgresql://app:hunter2@db/imprest")
    assert "hunter2" not in repr(settings)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("hunter2@db/imprest")


def test_data_dir_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == tmp_path / ".local/share/imprest"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert default_data_dir() == tmp_path / ".local/share/imprest"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_data_dir() == tmp_path / "data/imprest"
    assert load_settings(data_dir="~/here").data_dir == tmp_path / "here"


def test_data_dir_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/imprest")
