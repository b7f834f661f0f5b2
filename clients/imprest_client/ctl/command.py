"""How a function becomes a command: it gets a `Session`, and the options that all commands have."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer
from typer.core import TyperCommand

from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.session import Session, run
from imprest_client.ctl.settings import Options, profiles_path, read_profiles

P = ParamSpec("P")
Function = Callable[Concatenate[Session, P], None]

_PANEL = "Server and output"

# The options of every command, and of `imprestctl` itself, by their names in `Options`.
COMMON: dict[str, Any] = {
    "profile": Annotated[
        str | None,
        typer.Option(
            help="Use this profile's settings.",
            rich_help_panel=_PANEL,
            autocompletion=lambda: sorted(read_profiles(profiles_path(os.environ)).by_name),
        ),
    ],
    "address": Annotated[str | None, typer.Option(help="The server, host:port.", rich_help_panel=_PANEL)],
    "token": Annotated[
        str | None,
        typer.Option(
            help="Who is asking. Others on this machine can see it here: prefer IMPRESTCTL_TOKEN or a profile.",
            rich_help_panel=_PANEL,
        ),
    ],
    "zone": Annotated[
        str | None, typer.Option(help="Time zone of times shown and given.", rich_help_panel=_PANEL, metavar="IANA")
    ],
    "timeout_s": Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0.001, help="Seconds to wait for the server, retries included.", rich_help_panel=_PANEL
        ),
    ],
    "json": Annotated[bool, typer.Option("--json", help="JSON for machines.", rich_help_panel=_PANEL)],
    "csv": Annotated[bool, typer.Option("--csv", help="CSV for machines.", rich_help_panel=_PANEL)],
}

# ── options that several commands have ───────────────────────────────────────────────────────────────

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
AmountText = Annotated[
    str, typer.Argument(metavar="AMOUNT", help="Such as 25 or 25.50; in the account's currency, or 25.50USD.")
]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency key: the same command with the same key is done once. Default: a new one, shown."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reference = Annotated[str, typer.Option(help="Its id elsewhere, such as a payment's; can be used once.", metavar="ID")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Label = Annotated[list[str] | None, typer.Option(help="A label key=value; can be given several times.", metavar="K=V")]
Limit = Annotated[
    int | None,
    typer.Option(min=0, help="How many rows; 0: all. Default: all, but 100 on a terminal.", show_default=False),
]


class SignedArguments(TyperCommand):
    """A command whose amounts may be negative: `-5` is an amount there, not an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the parser a true minus sign, which starts no option."""
        return super().parse_args(ctx, [re.sub(r"^-(?=\d)", "\u2212", word) for word in args])


def command(
    app: typer.Typer, name: str, *, signed_arguments: bool = False
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as a command of `app`. Its first parameter is the session."""

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        app.command(name, cls=SignedArguments if signed_arguments else None)(_with_common(function))
        return function

    return register


def group_command(
    app: typer.Typer,
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as what `app` does when none of its commands is named."""

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        alone = _with_common(function)

        def call(ctx: typer.Context, **given: Any) -> None:
            if ctx.invoked_subcommand is None:
                alone(ctx, **given)
                return
            ctx.find_root().obj = options = take_common(ctx, given)
            if any(given.values()):
                run(options, _misplaced)

        call.__signature__ = inspect.signature(alone)  # type: ignore[attr-defined]
        call.__annotations__ = alone.__annotations__
        call.__doc__ = None  # the group has its own help
        app.callback(invoke_without_command=True)(call)
        return function

    return register


def _misplaced(_: Session) -> None:
    raise UsageError("options of a command stand behind its name")


def take_common(ctx: typer.Context, given: dict[str, Any]) -> Options:
    """Take the common options out of what was given, over those that stood before the command."""
    own = Options(**{f.name: given.pop(f.name) for f in fields(Options)})
    outer = ctx.find_root().obj
    return own.over(outer) if isinstance(outer, Options) else own


def _with_common(function: Callable[..., None]) -> Callable[..., None]:
    def call(ctx: typer.Context, **given: Any) -> None:
        options = take_common(ctx, given)
        run(options, lambda session: function(session, **given))

    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    signature(call, {parameter.name: (hints[parameter.name], parameter.default) for parameter in own})
    # A paragraph is one line: where it breaks depends on the terminal.
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    call.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return call


def signature(call: Callable[..., None], own: dict[str, tuple[Any, Any]]) -> None:
    """Give a function that takes a context and keywords the parameters of a command: its own, and the common ones."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    parameters += [
        inspect.Parameter(name, kind, annotation=hint, default=default) for name, (hint, default) in own.items()
    ]
    parameters += [
        inspect.Parameter(f.name, kind, annotation=COMMON[f.name], default=f.default) for f in fields(Options)
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
