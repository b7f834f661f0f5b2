"""Settings: `IMPREST_*` environment variables, overridden by command line options.

Only `bootstrap` and `cli` read them; everything below gets plain values.
"""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from imprest_server.budgets.channels.network import parse_networks
from imprest_server.budgets.channels.sealing import Sealer
from imprest_server.db.errors import StartupError

_ENV_PREFIX = "IMPREST_"


class SettingsError(StartupError):
    """A setting has a value that Imprest cannot work with; the message has a line per setting."""


def default_data_dir() -> Path:
    """Return where the embedded Postgres keeps its data: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/imprest")
    data_home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data_home) if os.path.isabs(data_home) else Path.home() / ".local" / "share") / "imprest"


def _loopback_only(listen: str) -> str:
    """Accept `host:port` with a host that only this machine can reach."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("give it as host:port, such as 127.0.0.1:7400 or [::1]:7400")
    if host == "localhost":
        return listen
    try:
        bracketed = host.startswith("[") and host.endswith("]")
        loopback = ipaddress.ip_address(host[1:-1] if bracketed else host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(
            f"{host or 'an empty host'} can be reached from other machines, and callers are not identified yet: "
            "listen on 127.0.0.1, [::1] or localhost"
        )
    return listen


def _not_empty(url: SecretStr) -> SecretStr:
    if not url.get_secret_value():
        raise ValueError("is empty: give a URL, or leave it out")
    return url


def _sealing_key(key: SecretStr) -> SecretStr:
    Sealer.of(key.get_secret_value())
    return key


def _networks(text: str) -> str:
    parse_networks(text)
    return text


class Settings(BaseSettings):
    """All that can be set. Durations carry their unit in the name."""

    model_config = SettingsConfigDict(env_prefix=_ENV_PREFIX, extra="forbid", frozen=True)

    database_url: Annotated[SecretStr, AfterValidator(_not_empty)] | None = None
    """Where the server connects (libpq URI, least-privilege role). Absent: the embedded Postgres."""
    owner_database_url: Annotated[SecretStr, AfterValidator(_not_empty)] | None = None
    """Where migrations connect, as the owner of the tables. Absent: `database_url`."""
    data_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Field(default_factory=default_data_dir)
    """Directory of the embedded Postgres."""
    listen: Annotated[str, AfterValidator(_loopback_only)] = "127.0.0.1:7400"
    """Address of the gRPC server; port 0 picks a free one."""

    workers: int = Field(default=1, ge=1, le=16)
    """Server processes that share the port. Each has up to five connections to the database."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    batch_max: int = Field(default=250, ge=1, le=1000)
    """Most operations in one transaction; 1 turns group commit off."""
    queue_max: int = Field(default=10_000, ge=1)
    """Most operations waiting; more are refused as UNAVAILABLE."""
    statement_timeout_ms: int = Field(default=5_000, ge=1)
    lock_timeout_ms: int = Field(default=2_000, ge=1)
    sweep_interval_ms: int = Field(default=1_000, ge=10)
    """How often due holds are looked for. Balances do not wait for it: a due hold counts at once."""

    default_hold_ttl_s: int = Field(default=900, ge=1, le=30 * 86_400)
    """How long a hold lasts when Reserve names no ttl."""
    late_commit_window_s: int = Field(default=7 * 86_400, ge=0)
    """How long after its expiry a hold can still be committed, inclusive."""
    low_balance_cooldown_s: int = Field(default=3_600, ge=0)
    """How long there is no second alert that an account's balance is low."""

    secrets_key: Annotated[SecretStr, AfterValidator(_sealing_key)] | None = None
    """What secrets of channels are sealed with: 32 random bytes in base64. Absent: no webhooks, no Slack."""
    webhook_allowed_networks: Annotated[str, AfterValidator(_networks)] = ""
    """Networks (CIDR, separated by commas) beside the public addresses that alerts may be posted to, also by http."""
    delivery_interval_ms: int = Field(default=1_000, ge=10)
    """How often each worker looks for alerts to deliver."""
    smtp_host: str = ""
    """The relay that email goes through. Absent: no email."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_sender: str = "imprest@localhost"
    """The address that email comes from."""

    alert_retention_days: int = Field(default=90, ge=1, le=3650)
    """How long alerts are kept; a resume token from before is too old."""


def load_settings(**options: object) -> Settings:
    """Read the environment; `options` (from the command line) win, and those that are None count as absent.

    Raises:
        SettingsError: with one line per bad setting; values are not repeated, for they may be secret.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = {_ENV_PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(_ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0])
            shown = f"--{name.replace('_', '-')}" if name in given else _ENV_PREFIX + name.upper()
            lines.append(f"{shown}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(lines)) from None
