"""The format of scenario steps: which fields an operation takes, and which a step can expect.

A step is one dict: "op", the operation's inputs, and the expectations. In tables and in random programs ids are
aliases; a `Session` turns a step into a request with real ids.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from tests.scenarios.contract import Adapter, Request, Result

Step = Mapping[str, Any]
"""One row of a scenario."""

MAIN = "main"
"""The account that a step is about when it names none."""

_SETTINGS = frozenset(["currency", "credit_limit", "overrun_policy", "max_overrun", "max_concurrent_calls"])
_CREDIT = frozenset(["account", "amount", "currency", "external_reference"])

INPUTS: dict[str, frozenset[str]] = {
    "advance": frozenset(["seconds"]),
    "create_account": _SETTINGS | {"account"},
    "update_account": _SETTINGS | {"account"},
    "freeze": frozenset(["account"]),
    "unfreeze": frozenset(["account"]),
    "close": frozenset(["account", "forfeit"]),
    "add_credit": _CREDIT | {"payment_fee"},
    "reverse_credit": _CREDIT | {"reason"},
    "grant_credit": _CREDIT,
    "withdraw": _CREDIT,
    "adjust": _CREDIT | {"reason"},
    "transfer": frozenset(["from", "to", "amount", "currency", "reason"]),
    "reserve": frozenset(["account", "amount", "units", "currency", "min_amount", "ttl", "on_expiry", "labels"]),
    "extend": frozenset(["hold", "new_total", "total_units", "used", "used_units", "currency", "ttl"]),
    "commit": frozenset(["hold", "amount", "units", "line", "currency", "final", "effective_ago"]),
    "void": frozenset(["hold", "reason"]),
    "charge": frozenset(["account", "amount", "units", "line", "currency", "effective_ago", "labels"]),
    "record_usage": frozenset(["account", "amount", "units", "line", "currency", "effective_ago", "labels"]),
    "refund": frozenset(["of", "of_transaction", "amount", "currency", "reason", "reverse_cost"]),
    "true_up_cost": frozenset(["of", "of_transaction", "cost", "currency", "reason"]),
    "get_account": frozenset(["account"]),
    "get_balance": frozenset(["account", "as_of_ago"]),
    "get_reservation": frozenset(["hold"]),
}
"""The inputs of each operation, as steps write them."""

CONTROL = frozenset(["op", "as", "txn_as", "key", "raw_key", "why"])
"""as, txn_as: aliases for the reservation and transaction in the answer. key: an idempotency key shared by
steps (made unique per run; without it every step has its own), raw_key: sent exactly so. why: a remark."""

FIELD_EXPECTATIONS = frozenset(
    [
        "state", "granted", "total", "captured", "used_so_far", "account_state",
        "charged", "from_hold", "from_available", "receivable", "absorbed", "provider_cost",
        "final_unit", "denial_reason", "late", "refunded_total",
    ]
)  # fmt: skip
"""Expected values of `Result.fields`; "granted" is the reservation's total in the answer to reserve."""

BALANCE_EXPECTATIONS: dict[str, str] = {
    "wallet": "wallet",
    "held": "held",
    "available": "available",
    "account_receivable": "receivable",
}
"""Expected balance, read after the step; also as to_… (a transfer's receiver) and reply_… (as answered)."""

EXPECTATIONS = (
    FIELD_EXPECTATIONS
    | BALANCE_EXPECTATIONS.keys()
    | {f"to_{name}" for name in BALANCE_EXPECTATIONS}
    | {f"reply_{name}" for name in BALANCE_EXPECTATIONS}
    | {"denied", "replayed", "journal", "same_hold", "same_transaction"}
)
"""denied: the reason. replayed: default false. journal: the postings of every transaction written to the book
since the last step that looked (or since the set-up). same_hold, same_transaction: the answer names what this
alias stands for."""

READS = frozenset(["get_account", "get_balance", "get_reservation"])
"""Operations without a key."""

_AMOUNTS = frozenset(
    ["amount", "min_amount", "payment_fee", "new_total", "used", "cost", "credit_limit", "max_overrun"]
)
_IDS = frozenset(["account", "from", "to", "hold", "of", "of_transaction", "external_reference"])


class Session:
    """The names of one run: aliases, fresh ids and keys, so that runs never meet in one database."""

    def __init__(self, adapter: Adapter, currency: str = "USD", *, run: str | None = None) -> None:
        self.run = run or uuid.uuid4().hex[:12]
        self._adapter = adapter
        self._currency = currency
        self._holds: dict[str, tuple[str, str]] = {}
        self._transactions: dict[str, tuple[str, str]] = {}
        self._accounts: set[str] = set()
        self._steps = 0

    def account_id(self, alias: str) -> str:
        """The account's id in this run; "?" is an account that nobody creates."""
        return f"missing-{self.run}" if alias == "?" else f"{alias}-{self.run}"

    def hold_id(self, alias: str) -> str:
        """The reservation's id; a well-formed unknown one for an alias that no answer has given a meaning."""
        return self._holds[alias][0] if alias in self._holds else self._adapter.unknown_id("reservation")

    def transaction_id(self, alias: str) -> str:
        """The transaction's id; a well-formed unknown one for an alias without a meaning."""
        known = alias in self._transactions
        return self._transactions[alias][0] if known else self._adapter.unknown_id("transaction")

    def subject(self, step: Step) -> str | None:
        """The alias of the account that the step is about, if it exists."""
        if "hold" in step or "of" in step:
            alias = self._holds.get(step.get("hold", step.get("of")), ("", None))[1]
        elif "of_transaction" in step:
            alias = self._transactions.get(step["of_transaction"], ("", None))[1]
        else:
            alias = step.get("account", step.get("from", MAIN))
        return alias if alias in self._accounts else None

    def knows_account(self, alias: str) -> bool:
        """Whether the account was created in this run."""
        return alias in self._accounts

    def knows(self, step: Step) -> bool:
        """Whether every reservation and transaction alias of the step has a meaning (or is "?" on purpose)."""
        holds = [step[name] for name in ("hold", "of") if name in step]
        known = all(alias == "?" or alias in self._holds for alias in holds)
        return known and step.get("of_transaction", "?") in {"?", *self._transactions}

    def resolve(self, step: Step) -> Request:
        """The request that the step stands for."""
        self._steps += 1
        op = step["op"]
        request = {name: step[name] for name in INPUTS[op] - _IDS if name in step}
        request["op"] = op
        request.update(self._ids(step))
        if request.keys() & _AMOUNTS or op == "create_account":
            request.setdefault("currency", self._currency)
        if op == "adjust":
            request.setdefault("reason", "scenario")
        if op in ("reserve", "charge", "record_usage"):
            request["call_id"] = f"call-{self.run}"
        if op not in READS:
            own = f"step-{self._steps}-{self.run}"
            key = f"{step['key']}-{self.run}" if "key" in step else own
            request["idempotency_key"] = step.get("raw_key", key)
        return request

    def _ids(self, step: Step) -> dict[str, str]:
        ids: dict[str, str] = {}
        if step["op"] == "transfer":
            ids["from_account_id"] = self.account_id(step.get("from", MAIN))
            ids["to_account_id"] = self.account_id(step["to"])
        elif "account" in INPUTS[step["op"]]:
            ids["account_id"] = self.account_id(step.get("account", MAIN))
        if "hold" in step or "of" in step:
            ids["reservation_id"] = self.hold_id(step.get("hold", step.get("of")))
        if "of_transaction" in step:
            ids["transaction_id"] = self.transaction_id(step["of_transaction"])
        if "external_reference" in step:
            ids["external_reference"] = f"{step['external_reference']}-{self.run}"
        return ids

    def learn(self, step: Step, result: Result) -> None:
        """Gives the step's aliases their meaning."""
        if result.denied is not None:
            return
        if step["op"] == "create_account":
            self._accounts.add(step.get("account", MAIN))
        account = self.subject(step) or MAIN
        if "as" in step and result.reservation_id is not None:
            self._holds[step["as"]] = (result.reservation_id, account)
        if "txn_as" in step and result.transaction_id is not None:
            self._transactions[step["txn_as"]] = (result.transaction_id, account)
