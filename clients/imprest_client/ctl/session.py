"""One run of a command: its settings, its client, its output, and what all commands do alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import grpc
import typer

from imprest_client.blocking import LOOP
from imprest_client.connection import Connection, is_loopback
from imprest_client.ctl.failures import CtlError, ExitCode, Failure, NotConfirmed, UsageError, failure_of
from imprest_client.ctl.output import Format, Output, Row
from imprest_client.ctl.rows import Receipt
from imprest_client.ctl.settings import Options, Profiles, Settings, profiles_path, read_profiles, resolve
from imprest_client.ctl.values import parse_amount, parse_zone
from imprest_client.errors import ImprestError
from imprest_client.sync import AdminClient, BudgetClient, ChannelClient, PricingClient

#: An attempt may take as long as its command: some of them sum, compare or wait for others.
_ATTEMPT_TIMEOUT_S = 3600.0


class Answer(Protocol):
    """What the server answers to a request that changes something."""

    @property
    def replayed(self) -> bool:
        """Whether it is the stored answer to an earlier request with the same key."""


A = TypeVar("A", bound=Answer)


class Session:
    """What a command works with. Settings are read and the connection is made when they are first needed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        form = Format.JSON if options.json else Format.CSV if options.csv else Format.TABLE
        self.out = Output(form, ZoneInfo("UTC"))
        self.key: str | None = None
        """The idempotency key of the request that changes something, once the command has come that far."""
        if options.json and options.csv:
            raise UsageError("--json and --csv are two formats: give one of them")

    @cached_property
    def profiles(self) -> Profiles:
        """The user's profiles."""
        return read_profiles(profiles_path(os.environ))

    @cached_property
    def settings(self) -> Settings:
        """What is in force."""
        settings = resolve(self.options, os.environ, self.profiles)
        for warning in settings.warnings:
            self.out.note(f"warning: {warning}")
        self.out.zone = settings.zone
        return settings

    @cached_property
    def client(self) -> AdminClient:
        """The server's client."""
        return AdminClient(self._connection)

    @cached_property
    def pricing(self) -> PricingClient:
        """The server's client for prices."""
        return PricingClient(self._connection)

    @cached_property
    def budgets(self) -> BudgetClient:
        """The server's client for budgets and alerts."""
        return BudgetClient(self._connection)

    @cached_property
    def channels(self) -> ChannelClient:
        """The server's client for channels."""
        return ChannelClient(self._connection)

    @cached_property
    def _connection(self) -> Connection:
        settings = self.settings
        if settings.token and not settings.tls and not is_loopback(settings.address):
            raise UsageError(
                f"the token would go to {settings.address} in plain text, for everybody on the way to read",
                hint="add --tls when the server has TLS; or go through a tunnel such as ssh -L to an address here",
            )
        return Connection(
            settings.address,
            connections=1,
            credentials=_credentials(settings.ca_file) if settings.tls else None,
            token=settings.token,
            timeout_s=settings.timeout_s,
            attempt_timeout_s=_ATTEMPT_TIMEOUT_S,
        )

    def close(self) -> None:
        """Close the connection, if there is one."""
        if "_connection" in self.__dict__:
            LOOP.run(self._connection.close)
            LOOP.close()

    def fail(self, failure: Failure) -> typer.Exit:
        """Tell why the command failed; the caller raises what is returned."""
        self.out.fail(failure)
        return typer.Exit(int(failure.exit_code))

    # ── what commands do alike ───────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        """The time here, for words such as `today`; never for what is posted."""
        return datetime.now(UTC)

    def zone_of(self, account_id: str) -> ZoneInfo:
        """The zone that was asked for, or else the account's."""
        if self.settings.sources["zone"] == "default":
            self.out.zone = parse_zone(self.client.get_account(account_id).time_zone)
        return self.out.zone

    def amount(self, account_id: str, text: str, *, signed: bool = False) -> tuple[Decimal, str]:
        """An amount and its currency, which is the account's when the text names none."""
        amount = parse_amount(text, signed=signed)
        return amount.value, amount.currency_code or self.client.get_account(account_id).currency_code

    def new_key(self, given: str | None) -> str:
        """The idempotency key of what is about to happen: the user's, or a new one."""
        self.key = given or f"ctl-{uuid4()}"
        return self.key

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something that cannot simply be undone.

        Raises:
            NotConfirmed: the answer was no, or there is nobody to ask.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise NotConfirmed(
                f"{question} Nobody can answer here: standard input is not a terminal", hint="add --yes to go ahead"
            )
        if not typer.confirm(question, err=True):
            raise NotConfirmed("nothing was done")

    def receipt(self, row: Row[Receipt[A]], answer: A, done: str) -> None:
        """Tell that it is done, and what it led to."""
        assert self.key is not None, "a command takes its key before it changes something"
        again = "This was done before with the same key; nothing happened again. " if answer.replayed else ""
        self.out.say(f"{again}{done}")
        self.out.one(row, Receipt(self.key, answer))


def _credentials(ca_file: str | None) -> grpc.ChannelCredentials:
    """For TLS. Raises UsageError when the file has no certificates."""
    if ca_file is None:
        return grpc.ssl_channel_credentials()
    try:
        certificates = Path(ca_file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {ca_file}: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        raise UsageError(f"{ca_file} has no certificates", hint="it should be PEM: -----BEGIN CERTIFICATE-----")
    return grpc.ssl_channel_credentials(certificates)


def run(options: Options, command: Callable[[Session], None]) -> None:
    """Run a command; whatever stops it is told on standard error, in the format it was asked in.

    Raises:
        typer.Exit: it failed; the exit code says how.
    """
    try:
        session = Session(options)
    except UsageError as error:
        raise Session(Options(json=options.json)).fail(failure_of(error)) from error
    try:
        command(session)
        sys.stdout.flush()
    except CtlError as error:
        raise session.fail(failure_of(error)) from error
    except ImprestError as error:
        settings = session.settings
        raise session.fail(failure_of(error, address=settings.address, tls=settings.tls, key=session.key)) from error
    except (KeyboardInterrupt, typer.Abort) as error:
        hint = f"it may have happened: the same command with --key {session.key} finds out" if session.key else ""
        failure = Failure(ExitCode.INTERRUPTED, "INTERRUPTED", "stopped", hint, idempotency_key=session.key)
        raise session.fail(failure) from error
    except UnicodeEncodeError as error:
        raise session.fail(failure_of(UsageError("what was typed is not UTF-8"))) from error
    except BrokenPipeError:
        # Who reads the output has seen enough, as `head` does. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        session.close()
