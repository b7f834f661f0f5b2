"""Which server, who asks, and how times are shown: options, environment and profiles, in that order.

A profile is a named set of settings in a TOML file of the user's. One that is chosen with `--profile` comes before the
environment, else it comes after. A profile's token goes only to that profile's address: whoever overrides the address
alone does not send the token somewhere else.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import typer

from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.values import parse_zone

DEFAULT_ADDRESS: Final = "127.0.0.1:7400"
DEFAULT_TIMEOUT_S: Final = 10.0

PREFIX: Final = "IMPRESTCTL_"
VARIABLES: Final = ("PROFILE", "ADDRESS", "TLS", "CA_FILE", "TOKEN", "ZONE", "TIMEOUT", "CONFIG")

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile sets; None leaves it to what comes after."""

    address: str | None = None
    tls: bool | None = None
    ca_file: str | None = None
    token: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Profiles:
    """The file: profiles by name, and which one is used when none is chosen."""

    path: Path
    default: str | None = None
    by_name: Mapping[str, Profile] = field(default_factory=dict)
    is_private: bool = True
    """Whether nobody else may read the file."""

    def named(self, name: str) -> Profile:
        """A profile. Raises UsageError when there is none of that name."""
        try:
            return self.by_name[name]
        except KeyError:
            known = ", ".join(sorted(self.by_name)) or "none yet"
            raise UsageError(f"there is no profile {name!r} in {self.path}", hint=f"profiles: {known}") from None


@dataclass(frozen=True, slots=True)
class Options:
    """What was given on the command line, of what every command understands."""

    profile: str | None = None
    address: str | None = None
    tls: bool = False
    ca_file: str | None = None
    token: str | None = None
    zone: str | None = None
    timeout_s: float | None = None
    json: bool = False
    csv: bool = False

    def over(self, outer: Options) -> Options:
        """These, and where they say nothing those that stood before the command's name."""
        return Options(**{f.name: getattr(self, f.name) or getattr(outer, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force. `sources` tells, by the name of a setting, where it comes from."""

    profile: str | None
    address: str
    tls: bool
    ca_file: str | None
    token: str | None
    zone: ZoneInfo
    timeout_s: float
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def resolve(options: Options, environment: Mapping[str, str], profiles: Profiles) -> Settings:
    """Put the settings together.

    Raises:
        UsageError: a value is malformed, a profile is missing, or the environment has an unknown IMPRESTCTL_ variable.
    """
    _check_names(environment)
    given: dict[str, Any] = {name.lower(): environment.get(PREFIX + name, "") for name in VARIABLES}
    given["tls"] = _flag("TLS", given["tls"])
    by_option = options.profile is not None
    name = options.profile or given["profile"] or profiles.default
    chosen = profiles.named(name) if name else Profile()

    layers: list[tuple[str, Mapping[str, Any]]] = [("environment", given), (f"profile {name}", _content(chosen))]
    if by_option:
        layers.reverse()
    layers.insert(0, ("option", {f.name: getattr(options, f.name) for f in fields(Profile)}))
    layers.append(("default", {"address": DEFAULT_ADDRESS, "zone": "UTC"}))

    def first(setting: str) -> tuple[Any, str]:
        return next(((layer[setting], source) for source, layer in layers if layer.get(setting)), (None, ""))

    sources = {}
    address, sources["address"] = first("address")
    ca_file, sources["ca_file"] = first("ca_file")
    tls, sources["tls"] = first("tls")
    # How a profile's server is reached says nothing about another one.
    if sources["ca_file"] == f"profile {name}" != sources["address"]:
        ca_file, sources["ca_file"] = None, ""
    if sources["tls"] == f"profile {name}" != sources["address"]:
        tls, sources["tls"] = None, ""
    if ca_file and not tls:
        tls, sources["tls"] = True, sources["ca_file"]
    token, sources["token"] = first("token")
    zone, sources["zone"] = first("zone")
    warnings = []
    if sources["token"] == f"profile {name}" and sources["address"] != sources["token"]:
        warnings.append(f"the token of profile {name} is not sent: the address is not that profile's")
        token, sources["token"] = None, ""
    if token and sources["token"].startswith("profile ") and not profiles.is_private:
        warnings.append(f"others can read the token in {profiles.path}: chmod 600 it")
    timeout_s, sources["timeout"] = _timeout(options.timeout_s, given["timeout"])
    return Settings(
        profile=name,
        address=check_address(address),
        tls=bool(tls),
        ca_file=ca_file,
        token=token,
        zone=parse_zone(zone),
        timeout_s=timeout_s,
        sources={"profile": _profile_source(options, given, name), **sources},
        warnings=tuple(warnings),
    )


def _profile_source(options: Options, given: Mapping[str, str], name: str | None) -> str:
    if options.profile:
        return "option"
    return "environment" if given["profile"] else "profiles file" if name else ""


def _timeout(option: float | None, variable: str) -> tuple[float, str]:
    if option is not None:
        return option, "option"
    if not variable:
        return DEFAULT_TIMEOUT_S, "default"
    try:
        seconds = float(variable)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise UsageError(f"IMPRESTCTL_TIMEOUT is {variable!r}, not a number of seconds")
    return seconds, "environment"


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("", "0", "1", "false", "no", "true", "yes"):
        raise UsageError(f"{PREFIX}{name} is {text!r}, neither 1 nor 0")
    return text.lower() in ("1", "true", "yes")


def _check_names(environment: Mapping[str, str]) -> None:
    unknown = sorted(n for n in environment if n.startswith(PREFIX) and n.removeprefix(PREFIX) not in VARIABLES)
    if unknown:
        known = ", ".join(PREFIX + name for name in VARIABLES)
        raise UsageError(f"{unknown[0]}: there is no such setting", hint=f"variables: {known}")


def check_address(address: str) -> str:
    """`host:port`, or UsageError."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[2]) < 65_536:
        raise UsageError(f"{address!r} is not an address", hint=f"write host:port, such as {DEFAULT_ADDRESS}")
    return address


def check_profile_name(name: str) -> str:
    """A name that a profile may have, or UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a profile", hint="use letters, digits, - and _")
    return name


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


def profiles_path(environment: Mapping[str, str]) -> Path:
    """Where the profiles stand: IMPRESTCTL_CONFIG, or `imprest/imprestctl.toml` in the user's configuration."""
    given = environment.get(PREFIX + "CONFIG")
    return Path(given) if given else Path(typer.get_app_dir("imprest")) / "imprestctl.toml"


def read_profiles(path: Path) -> Profiles:
    """Read the file; none is no profiles.

    Raises:
        UsageError: it cannot be read, or is not what `write_profiles` writes.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        is_private = os.name != "posix" or not path.stat().st_mode & 0o077
    except FileNotFoundError:
        return Profiles(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the profiles in {path}: {error}") from error
    default, tables = content.pop("default", None), content.pop("profiles", {})
    if content or not isinstance(tables, dict) or not isinstance(default, str | None):
        raise UsageError(f'{path} should have only `default = "name"` and tables `[profiles.name]`')
    profiles = {name: _profile_of(path, name, table) for name, table in tables.items()}
    return Profiles(path, default, profiles, is_private)


def _profile_of(path: Path, name: str, table: Any) -> Profile:
    kinds: dict[str, type] = {f.name: bool if f.name == "tls" else str for f in fields(Profile)}
    if not isinstance(table, dict) or not all(isinstance(table[key], kinds.get(key, ())) for key in table):
        texts = ", ".join(sorted(kinds.keys() - {"tls"}))
        raise UsageError(f"profile {name!r} in {path} should have only tls = true, and texts named {texts}")
    return Profile(**table)


def write_profiles(profiles: Profiles) -> None:
    """Replace the file by one that only its owner may read. Comments in it are not kept."""
    lines = [f"default = {_quoted(profiles.default)}", ""] if profiles.default else []
    for name, profile in sorted(profiles.by_name.items()):
        lines += [f"[profiles.{name}]", *(f"{key} = {_quoted(value)}" for key, value in _content(profile).items()), ""]
    path = profiles.path
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write the profiles to {path}: {error}") from error


def _content(profile: Profile) -> dict[str, str | bool]:
    values = {f.name: getattr(profile, f.name) for f in fields(profile)}
    return {name: value for name, value in values.items() if value is not None}


def _quoted(value: str | bool) -> str:
    """A boolean or a basic string of TOML, which for what is allowed here is one of JSON."""
    if isinstance(value, str) and not value.isprintable():
        raise UsageError(f"{value!r} has characters that cannot be printed")
    return json.dumps(value, ensure_ascii=False)
