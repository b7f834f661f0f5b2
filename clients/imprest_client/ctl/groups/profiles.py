"""`imprestctl profiles`: named servers, kept in a file of the user's."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from imprest_client.ctl.command import command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.output import Column, Row
from imprest_client.ctl.session import Session
from imprest_client.ctl.settings import Profile, check_address, check_profile_name, write_profiles
from imprest_client.ctl.values import parse_zone

app = typer.Typer(name="profiles", help="Profiles, named servers with their tokens: list, show, set, use, remove.")

ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="The profile.")]


@dataclass(frozen=True, slots=True)
class _Listed:
    name: str
    profile: Profile
    is_default: bool


# A token is never shown: whether there is one is what matters here.
_LISTED: Final = Row[_Listed](
    (
        Column("name", lambda p: p.name, "profile"),
        Column("address", lambda p: p.profile.address, "address"),
        Column("tls", lambda p: bool(p.profile.tls or p.profile.ca_file), "TLS"),
        Column("ca_file", lambda p: p.profile.ca_file),
        Column("has_token", lambda p: p.profile.token is not None, "token"),
        Column("zone", lambda p: p.profile.zone, "zone"),
        Column("is_default", lambda p: p.is_default, "default"),
    ),
    lambda _: "",
)


@dataclass(frozen=True, slots=True)
class _InForce:
    setting: str
    value: str
    source: str


_IN_FORCE: Final = Row[_InForce](
    (
        Column("setting", lambda s: s.setting, "setting"),
        Column("value", lambda s: s.value, "value"),
        Column("source", lambda s: s.source, "from"),
    ),
    lambda _: "",
)


@command(app, "list")
def list_(session: Session) -> None:
    """List the profiles."""
    profiles = session.profiles
    listed = [_Listed(name, profile, name == profiles.default) for name, profile in sorted(profiles.by_name.items())]
    session.out.many(_LISTED, listed, limit=0, nothing=f"no profiles in {profiles.path}")


@command(app, "show")
def show(session: Session) -> None:
    """Show which settings are in force here and now, and where each comes from."""
    settings, sources = session.settings, session.settings.sources
    values = {
        "profile": settings.profile or "",
        "address": settings.address,
        "tls": "yes" if settings.tls else "",
        "ca_file": settings.ca_file or "",
        "token": "(set)" if settings.token else "",
        "zone": str(settings.zone),
        "timeout": f"{settings.timeout_s:g} s",
    }
    in_force = [_InForce(name, value, sources[name]) for name, value in values.items()]
    session.out.many(_IN_FORCE, in_force, limit=0)
    session.out.note(f"profiles: {session.profiles.path}")


@command(app, "set")
def set_(
    session: Session,
    name: ProfileName,
    ask_token: Annotated[
        bool, typer.Option("--ask-token", help="Ask for the token, or read it as a line from standard input.")
    ] = False,
) -> None:
    """Make or change a profile from the options --address to --zone that are given; what is not given stays."""
    check_profile_name(name)
    options, profiles = session.options, session.profiles
    profile = profiles.by_name.get(name, Profile())
    if options.address:
        profile = replace(profile, address=check_address(options.address))
    if options.tls:
        profile = replace(profile, tls=True)
    if options.ca_file:
        profile = replace(profile, ca_file=str(Path(options.ca_file).absolute()))
    if options.zone:
        profile = replace(profile, zone=parse_zone(options.zone).key)
    token = _ask_token() if ask_token else options.token
    if token:
        profile = replace(profile, token=token)
    if profile == profiles.by_name.get(name):
        raise UsageError("there is nothing to set", hint="give --address, --tls, --ca-file, --zone or --ask-token")
    default = profiles.default or name
    write_profiles(replace(profiles, default=default, by_name={**profiles.by_name, name: profile}))
    session.out.one(_LISTED, _Listed(name, profile, name == default))


@command(app, "use")
def use(session: Session, name: ProfileName) -> None:
    """Use a profile when none is chosen."""
    profile = session.profiles.named(name)
    write_profiles(replace(session.profiles, default=name))
    session.out.one(_LISTED, _Listed(name, profile, is_default=True))


@command(app, "remove")
def remove(session: Session, name: ProfileName) -> None:
    """Forget a profile."""
    profiles = session.profiles
    profile = profiles.named(name)
    kept = {other: profile for other, profile in profiles.by_name.items() if other != name}
    write_profiles(replace(profiles, default=None if profiles.default == name else profiles.default, by_name=kept))
    session.out.one(_LISTED, _Listed(name, profile, is_default=False))


def _ask_token() -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt("Token", hide_input=True, err=True)
    else:
        answer = sys.stdin.readline()
    if not answer.strip():
        raise UsageError("there was no token on standard input")
    return answer.strip()
