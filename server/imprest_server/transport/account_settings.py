"""The settings of an account as CreateAccount and UpdateAccount give them: which are meant, and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from imprest.v1.account_pb2 import Account
from imprest_server.core.errors import InvalidArgument
from imprest_server.ledger.model import OverrunPolicy
from imprest_server.ledger.operations import AccountSettings
from imprest_server.transport.convert import parse_amount
from imprest_server.transport.resources import OVERRUN_POLICY

_PATH = "account."

#: Each setting's value in a message; the default, or None for "no limit", when the message does not have it.
_VALUES: dict[str, Callable[[Account], Any]] = {
    "customer_id": lambda account: account.customer_id,
    "display_name": lambda account: account.display_name,
    "credit_limit": lambda account: parse_amount(account, "credit_limit", _PATH),
    "overrun_policy": lambda account: (
        OVERRUN_POLICY.parse(account.overrun_policy, "account.overrun_policy") or OverrunPolicy.COLLECT
    ),
    "max_overrun": lambda account: parse_amount(account, "max_overrun", _PATH),
    "max_concurrent_calls": lambda account: (
        account.max_concurrent_calls if account.HasField("max_concurrent_calls") else None
    ),
    "low_balance_threshold": lambda account: parse_amount(account, "low_balance_threshold", _PATH),
    "time_zone": lambda account: account.time_zone or "UTC",
    "labels": lambda account: dict(account.labels),
}
_WITH_PRESENCE = frozenset({"credit_limit", "max_overrun", "max_concurrent_calls", "low_balance_threshold"})


def given_settings(account: Account) -> AccountSettings:
    """The settings that the message has."""
    return _settings(account, (name for name in _VALUES if _has(account, name)))


def masked_settings(account: Account, paths: Iterable[str]) -> AccountSettings:
    """The settings that a field mask names, also those that the message does not have."""
    names = list(paths)
    for name in names:
        if name not in _VALUES:
            raise InvalidArgument(
                field="update_mask", problem=f"must name fields of account that can be changed: {', '.join(_VALUES)}"
            )
    return _settings(account, names)


def _has(account: Account, name: str) -> bool:
    return account.HasField(name) if name in _WITH_PRESENCE else bool(getattr(account, name))


def _settings(account: Account, names: Iterable[str]) -> AccountSettings:
    return cast(AccountSettings, {name: _VALUES[name](account) for name in names})
