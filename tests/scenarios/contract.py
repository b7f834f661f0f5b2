"""What a scenario needs of an implementation: the adapter contract.

An adapter translates *requests* (plain dicts) into calls of one implementation and its answers into `Result`s.
It knows nothing of scenarios, aliases or expectations: the runner resolves those before it calls.

Requests
    "op" names the operation. The other fields, set only where the scenario sets them:

    account_id, from_account_id, to_account_id, reservation_id, transaction_id   real ids
    idempotency_key          as given; on every operation except get_*
    currency                 ISO code of every amount in the request; set when there is one, and for create_account
    amount, min_amount, payment_fee, new_total, used, cost, credit_limit, max_overrun
                             decimal text in the major unit ("1.25"); for update_account null clears max_overrun
    units, total_units, used_units   decimal text: usage in place of amount, new_total and used. The adapter's prices
                             are those of `UNIT_PRICE` and `UNIT_COST`: a unit is sold for 1 and costs 0.25
    line                     text: the id of the usage line, with units; absent: none
    max_concurrent_calls     integer; null clears it
    overrun_policy           "COLLECT" | "CAP" | "REJECT"
    on_expiry                "CAPTURE_USED" | "RELEASE"
    ttl                      whole seconds
    final, forfeit, reverse_cost   booleans
    reason, call_id, external_reference   text
    labels                   an object of texts
    effective_ago, as_of_ago whole seconds before the clock of now (negative: in the future); the adapter turns
                             them into effective_time and as_of by the implementation's clock

    For update_account the settings that are present are the update mask. A setting of create_account that is
    absent is not sent.

    operation        fields (besides the key)
    create_account   account_id currency [credit_limit overrun_policy max_overrun max_concurrent_calls]
    update_account   account_id [credit_limit overrun_policy max_overrun max_concurrent_calls]
    freeze unfreeze  account_id
    close            account_id [forfeit]
    add_credit       account_id amount [payment_fee external_reference]
    reverse_credit   account_id amount [external_reference reason]
    grant_credit     account_id amount [external_reference]
    withdraw         account_id amount [external_reference]
    adjust           account_id amount reason [external_reference]
    transfer         from_account_id to_account_id amount [reason]
    reserve          account_id call_id amount|units [min_amount ttl on_expiry labels]
    extend           reservation_id [new_total|total_units used|used_units ttl]
    commit           reservation_id amount|units [line final effective_ago]
    void             reservation_id [reason]
    charge record_usage   account_id call_id amount|units [line effective_ago labels]
    refund           reservation_id or transaction_id [amount reason reverse_cost]
    true_up_cost     reservation_id or transaction_id, cost [reason]
    get_account get_balance   account_id, get_balance also [as_of_ago]
    get_reservation  reservation_id

    A field that the contract of the operation requires may be missing on purpose: send the request without it.

Time
    `advance` lets that many seconds pass for the implementation's money clock (a test clock, or rows moved into
    the past). Nothing else may move by it. Scenarios leave seconds of slack around every deadline, so that a
    clock that also runs by itself does no harm; those that need a clock that stands still between operations say
    so ("needs": ["frozen_clock"]) and are left out when `frozen_clock` is False.

Failures
    Whatever is no answer of the ledger (UNAVAILABLE, INTERNAL, a broken connection, a missing error reason) is not
    a Result: raise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

Request = Mapping[str, Any]
"""One resolved operation; see the module's text."""

UNIT_METER = "telephony.outbound_seconds"
UNIT_PRICE = Decimal(1)
UNIT_COST = Decimal("0.25")
"""What `units` are measured on, sold for, and cost; in US dollars."""

CODE_OF_REASON: dict[str, str] = {
    "INVALID_ARGUMENT": "INVALID_ARGUMENT",
    "NOT_FOUND": "NOT_FOUND",
    "OUT_OF_RANGE": "OUT_OF_RANGE",
    "IDEMPOTENCY_KEY_REUSED": "ALREADY_EXISTS",
    "EXTERNAL_REFERENCE_USED": "ALREADY_EXISTS",
    "ACCOUNT_EXISTS": "ALREADY_EXISTS",
    "USAGE_LINE_REUSED": "ALREADY_EXISTS",
    "INSUFFICIENT_FUNDS": "FAILED_PRECONDITION",
    "ACCOUNT_FROZEN": "FAILED_PRECONDITION",
    "ACCOUNT_CLOSED": "FAILED_PRECONDITION",
    "ACCOUNT_NOT_EMPTY": "FAILED_PRECONDITION",
    "RECEIVABLE_OPEN": "FAILED_PRECONDITION",
    "CALL_LIMIT_REACHED": "FAILED_PRECONDITION",
    "CURRENCY_MISMATCH": "FAILED_PRECONDITION",
    "OVERRUN_REJECTED": "FAILED_PRECONDITION",
    "RESERVATION_COMMITTED": "FAILED_PRECONDITION",
    "RESERVATION_VOIDED": "FAILED_PRECONDITION",
    "RESERVATION_EXPIRED": "FAILED_PRECONDITION",
    "REFUND_EXCEEDS_CAPTURE": "FAILED_PRECONDITION",
    "BUDGET_EXCEEDED": "FAILED_PRECONDITION",
    "CALLS_STOPPED": "FAILED_PRECONDITION",
}
"""Every denial of this release that a scenario can expect, and the gRPC status code it comes with."""


@dataclass(frozen=True)
class Balance:
    """An account's balance as canonical decimal texts."""

    wallet: str
    held: str
    available: str
    receivable: str


@dataclass(frozen=True)
class Result:
    """The answer to one request.

    denied, code      the reason and the gRPC status code of an error; None for a success. Errors without a
                      reason (INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE) have their code as `denied`.
    replayed          the reply's flag, or the error's metadata
    balance           the reply's balance, where the reply has one (all mutating operations have)
    to_balance        the receiver's, for a transfer
    reservation_id    of the reservation in the reply
    transaction_id    in the reply; None if the operation wrote none, or its reply has no such field
    fields            the rest, each only where the reply has it:
                      state, total, captured, used_so_far        of the reservation (total is its amount)
                      charged, from_hold, from_available, receivable, absorbed, provider_cost    of the charge
                      final_unit, denial_reason (None: no reason), late, refunded_total
                      account_state           of the account (account operations except transfer, and get_account)
                      Amounts are canonical decimal texts; state names have no enum prefix.
    """

    denied: str | None = None
    code: str | None = None
    replayed: bool = False
    balance: Balance | None = None
    to_balance: Balance | None = None
    reservation_id: str | None = None
    transaction_id: str | None = None
    fields: Mapping[str, str | bool | None] = field(default_factory=dict[str, str | bool | None])


@dataclass(frozen=True)
class Entry:
    """One transaction of a book: its postings as texts "DEBIT/CREDIT amount", in order."""

    transaction_id: str
    seq: int
    postings: tuple[str, ...]


class Adapter(Protocol):
    """One implementation of the ledger, for one tenant; see the module's text."""

    frozen_clock: bool
    """Whether no time passes between operations except by `advance`."""

    async def apply(self, request: Request) -> Result:
        """Carries out one operation; a denial is a Result, not an exception."""
        ...

    async def advance(self, seconds: Decimal) -> None:
        """Lets time pass."""
        ...

    async def balance(self, account_id: str) -> Balance:
        """Reads the account's balance of now, due holds ended; raises for an unknown account."""
        ...

    async def journal(self, account_id: str) -> Sequence[Entry]:
        """Reads all transactions of the account's book, by ascending seq."""
        ...

    def unknown_id(self, kind: str) -> str:
        """A well-formed id of a "reservation" or "transaction" that does not exist."""
        ...
