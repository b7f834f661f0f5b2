"""Every limit of an operation's own content, from both sides. The limits are those of the protos' comments."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.core.money import Money
from imprest_server.ledger import operations as ops
from imprest_server.ledger.operations import Operation
from imprest_server.ledger.validation import CHECKS, validate

A, B, TENANT = AccountId("a"), AccountId("b"), TenantId("t")
RESERVATION, TRANSACTION = ReservationId(UUID(int=1)), TransactionId(UUID(int=2))
COMMON: dict[str, Any] = {"tenant_id": TENANT, "idempotency_key": "k"}


def usd(nanos: int) -> Money:
    return Money("USD", nanos)


GOOD: list[Operation] = [
    ops.CreateAccount(**COMMON, currency_code="USD", settings={}),
    ops.UpdateAccount(**COMMON, account_id=A, settings={}),
    ops.FreezeAccount(**COMMON, account_id=A),
    ops.UnfreezeAccount(**COMMON, account_id=A),
    ops.CloseAccount(**COMMON, account_id=A),
    ops.AddCredit(**COMMON, account_id=A, amount=usd(1)),
    ops.ReverseCredit(**COMMON, account_id=A, amount=usd(1)),
    ops.GrantCredit(**COMMON, account_id=A, amount=usd(1)),
    ops.Adjust(**COMMON, account_id=A, amount=usd(-1), reason="why"),
    ops.Withdraw(**COMMON, account_id=A, amount=usd(1)),
    ops.Transfer(**COMMON, from_account_id=A, to_account_id=B, amount=usd(1)),
    ops.Reserve(**COMMON, account_id=A, amount=usd(1)),
    ops.Extend(**COMMON, reservation_id=RESERVATION),
    ops.Commit(**COMMON, reservation_id=RESERVATION, amount=usd(1)),
    ops.Void(**COMMON, reservation_id=RESERVATION),
    ops.Charge(**COMMON, account_id=A, amount=usd(1)),
    ops.RecordUsage(**COMMON, account_id=A, amount=usd(1)),
    ops.Refund(**COMMON, reservation_id=RESERVATION),
    ops.TrueUpCost(**COMMON, reservation_id=RESERVATION, cost=usd(0)),
]
BY_TYPE = {type(operation): operation for operation in GOOD}


def good(cls: type[Operation], **changes: Any) -> None:
    validate(replace(BY_TYPE[cls], **changes))


def bad(cls: type[Operation], field: str, **changes: Any) -> None:
    with pytest.raises(InvalidArgument) as error:
        validate(replace(BY_TYPE[cls], **changes))
    assert error.value.field == field


def with_field(name: str) -> list[type[Operation]]:
    return [cls for cls in BY_TYPE if name in cls.__dataclass_fields__]


def test_every_operation_of_callers_is_checked() -> None:
    kinds = {cls for cls in vars(ops).values() if isinstance(cls, type) and isinstance(getattr(cls, "kind", None), str)}
    assert set(CHECKS) == kinds - {ops.ExpireDue, ops.Rerate, ops.ChargeSubscription} == set(BY_TYPE)


@pytest.mark.parametrize("operation", GOOD, ids=lambda operation: operation.kind)
def test_plain_operations_pass(operation: Operation) -> None:
    validate(operation)


@pytest.mark.parametrize("cls", BY_TYPE)
@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t", "nul\0", "ümlaut", "\x7f", "line\n"])
def test_bad_keys(cls: type[Operation], key: str) -> None:
    bad(cls, "idempotency_key", idempotency_key=key)


@pytest.mark.parametrize("key", [" ", "~", "x" * 255, "a b/c:d"])
def test_good_keys(key: str) -> None:
    good(ops.Reserve, idempotency_key=key)


IN_ACCOUNT = (ops.CreateAccount, ops.UpdateAccount)
ACCOUNT_FIELDS = [
    *((cls, "account_id", "account_id") for cls in with_field("account_id") if cls not in IN_ACCOUNT),
    (ops.CreateAccount, "account_id", "account.account_id"),
    (ops.CreateAccount, "parent_account_id", "account.parent_account_id"),
    (ops.UpdateAccount, "account_id", "account.account_id"),
    (ops.Transfer, "from_account_id", "from_account_id"),
    (ops.Transfer, "to_account_id", "to_account_id"),
]


@pytest.mark.parametrize(("cls", "name", "field"), ACCOUNT_FIELDS)
def test_account_ids(cls: type[Operation], name: str, field: str) -> None:
    for text in ("", "x" * 65, "a b", "é", "a\n", "a,b"):
        bad(cls, field, **{name: AccountId(text)})
    for text in ("x" * 64, "A.z_9:-"):
        good(cls, **{name: AccountId(text)})


AMOUNT_FIELDS = [
    # operation, field, negative allowed, zero allowed
    *((cls, "amount", False, False) for cls in (ops.AddCredit, ops.ReverseCredit, ops.GrantCredit, ops.Withdraw)),
    (ops.AddCredit, "payment_fee", False, False),
    (ops.Adjust, "amount", True, False),
    (ops.Transfer, "amount", False, False),
    (ops.Reserve, "amount", False, True),
    (ops.Reserve, "min_amount", False, False),
    (ops.Extend, "new_total", False, True),
    (ops.Extend, "used_so_far", False, True),
    (ops.Commit, "amount", False, True),
    (ops.Charge, "amount", False, True),
    (ops.RecordUsage, "amount", False, True),
    (ops.Refund, "amount", False, False),
    (ops.TrueUpCost, "cost", False, True),
]


def check_amount(cls: type[Operation], name: str, nanos: int, allowed: bool) -> None:
    (good(cls, **{name: usd(nanos)}) if allowed else bad(cls, name, **{name: usd(nanos)}))


@pytest.mark.parametrize(("cls", "name", "negative", "zero"), AMOUNT_FIELDS)
def test_amounts(cls: type[Operation], name: str, negative: bool, zero: bool) -> None:
    check_amount(cls, name, -1, negative)
    check_amount(cls, name, 0, zero)
    check_amount(cls, name, 1, True)
    for code in ("", "usd", "US", "USDT", "US1", "ÄÖÜ", "USD\n"):
        bad(cls, f"{name}.currency_code", **{name: Money(code, 1)})


def test_min_amount_is_at_most_the_amount() -> None:
    good(ops.Reserve, amount=usd(5), min_amount=usd(5))
    bad(ops.Reserve, "min_amount", amount=usd(5), min_amount=usd(6))
    bad(ops.Reserve, "min_amount", amount=usd(0), min_amount=usd(1))
    # Not comparable: the rules find the one that is not the account's currency.
    good(ops.Reserve, amount=usd(5), min_amount=Money("EUR", 6))


@pytest.mark.parametrize("cls", with_field("ttl"))
def test_ttl(cls: type[Operation]) -> None:
    for ttl in (timedelta(seconds=1), timedelta(days=30)):
        good(cls, ttl=ttl)
    tick = timedelta(microseconds=1)
    for ttl in (timedelta(0), timedelta(seconds=1) - tick, timedelta(days=30) + tick, timedelta(seconds=-5)):
        bad(cls, "ttl", ttl=ttl)


TEXT_FIELDS = [
    *((cls, "reason", 1024) for cls in with_field("reason")),
    *((cls, "external_reference", 255) for cls in with_field("external_reference")),
    *((cls, "call_id", 255) for cls in with_field("call_id")),
]


@pytest.mark.parametrize(("cls", "name", "limit"), TEXT_FIELDS)
def test_texts(cls: type[Operation], name: str, limit: int) -> None:
    good(cls, **{name: "\N{PILE OF POO}" * limit})
    bad(cls, name, **{name: "x" * (limit + 1)})
    for control in ("\0", "\n", "\x1f", "\x7f", "\x85"):
        bad(cls, name, **{name: f"a{control}b"})


@pytest.mark.parametrize("cls", with_field("labels"))
def test_labels(cls: type[Operation]) -> None:
    good(cls, labels={f"k{i}": "" for i in range(64)})
    good(cls, labels={"k" * 63: "v" * 255})
    bad(cls, "labels", labels={f"k{i}": "" for i in range(65)})
    bad(cls, "labels", labels={"": "v"})
    bad(cls, "labels", labels={"k" * 64: "v"})
    bad(cls, "labels", labels={"k\0": "v"})
    bad(cls, "labels[k]", labels={"k": "v" * 256})
    bad(cls, "labels[k]", labels={"k": "v\n"})


def test_an_adjustment_has_a_reason() -> None:
    bad(ops.Adjust, "reason", reason=None)
    bad(ops.Adjust, "reason", reason="")


def test_nobody_transfers_to_themselves() -> None:
    bad(ops.Transfer, "to_account_id", to_account_id=A)


def test_a_refund_has_one_target() -> None:
    for kind in (ops.Refund, ops.TrueUpCost):
        bad(kind, "target", reservation_id=None)
        bad(kind, "target", transaction_id=TRANSACTION)
        good(kind, reservation_id=None, transaction_id=TRANSACTION)


def test_a_true_up_says_what_it_costs_in_all_or_by_lines() -> None:
    lines = {"l1": usd(0), "l2": usd(1)}
    good(ops.TrueUpCost, cost=None, line_costs=lines)
    bad(ops.TrueUpCost, "cost", line_costs=lines)
    bad(ops.TrueUpCost, "cost", cost=None, line_costs={})
    bad(ops.TrueUpCost, "lines", cost=None, line_costs={f"l{n}": usd(1) for n in range(201)})
    bad(ops.TrueUpCost, "lines[l1].cost", cost=None, line_costs={"l1": usd(-1)})
    bad(ops.TrueUpCost, "lines.line_id", cost=None, line_costs={"l" * 256: usd(1)})


@pytest.mark.parametrize("code", ["", "usd", "EURO", "U$D", "UDS"])
def test_the_currency_of_a_new_account(code: str) -> None:
    bad(ops.CreateAccount, "account.currency_code", currency_code=code)


def test_an_account_in_a_currency_that_is_no_more_goes_on() -> None:
    good(ops.AddCredit, amount=Money("HRK", 1))


@pytest.mark.parametrize("cls", with_field("settings"))
class TestSettings:
    @pytest.mark.parametrize("name", ["credit_limit", "max_overrun", "low_balance_threshold"])
    def test_limits(self, cls: type[Operation], name: str) -> None:
        good(cls, settings={name: usd(0)})
        good(cls, settings={name: usd(7)})
        bad(cls, f"account.{name}", settings={name: usd(-1)})
        bad(cls, f"account.{name}.currency_code", settings={name: Money("", 1)})

    @pytest.mark.parametrize("name", ["max_overrun", "low_balance_threshold", "max_concurrent_calls"])
    def test_limits_can_be_taken_away(self, cls: type[Operation], name: str) -> None:
        good(cls, settings={name: None})

    def test_calls(self, cls: type[Operation]) -> None:
        good(cls, settings={"max_concurrent_calls": 0})
        bad(cls, "account.max_concurrent_calls", settings={"max_concurrent_calls": -1})

    @pytest.mark.parametrize("name", ["customer_id", "display_name"])
    def test_texts(self, cls: type[Operation], name: str) -> None:
        good(cls, settings={name: "ß" * 255})
        bad(cls, f"account.{name}", settings={name: "x" * 256})
        bad(cls, f"account.{name}", settings={name: "a\tb"})

    def test_time_zones(self, cls: type[Operation]) -> None:
        for zone in ("UTC", "Europe/Berlin", "America/Argentina/Ushuaia"):
            good(cls, settings={"time_zone": zone})
        for zone in ("", "Europe/Nowhere", "europe/berlin", "../../etc/passwd", "CET\0", "+02:00"):
            bad(cls, "account.time_zone", settings={"time_zone": zone})

    def test_labels(self, cls: type[Operation]) -> None:
        bad(cls, "account.labels", settings={"labels": {"": ""}})
