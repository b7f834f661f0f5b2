"""The model's front door: one tenant that applies operations one after the other.

`Tenant.apply` is the order of denials, line by line: validation, key, then the operation (which
checks NOT_FOUND, currency, state and its own conditions in this order). Due holds are ended first.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from imprest_client.testing.ledger.alerts import expired, happened, owed
from imprest_client.testing.ledger.book import expire_due
from imprest_client.testing.ledger.budgets import Budgets
from imprest_client.testing.ledger.model import (
    Account,
    Charge,
    Decision,
    Denied,
    Line,
    Outcome,
    Parts,
    Rated,
    Request,
    Reservation,
    Transaction,
    Usage,
)
from imprest_client.testing.ledger.money import MONEY_MAX_NANOS, MONEY_MIN_NANOS
from imprest_client.testing.ledger.usage import Prices, named, parts_of, rate, total, total_cost
from imprest_client.testing.ledger.validation import (
    AMOUNT_FIELDS,
    READS,
    amount_of,
    usage_of,
    validate,
    validate_times,
)

STORED_DENIALS = frozenset(
    [
        "INSUFFICIENT_FUNDS",
        "ACCOUNT_FROZEN",
        "ACCOUNT_CLOSED",
        "ACCOUNT_NOT_EMPTY",
        "RECEIVABLE_OPEN",
        "CALL_LIMIT_REACHED",
        "CURRENCY_MISMATCH",
        "OVERRUN_REJECTED",
        "RESERVATION_COMMITTED",
        "RESERVATION_VOIDED",
        "RESERVATION_EXPIRED",
        "REFUND_EXCEEDS_CAPTURE",
        "EXTERNAL_REFERENCE_USED",
        "ACCOUNT_EXISTS",
        "USAGE_LINE_REUSED",
        "BUDGET_EXCEEDED",
        "CALLS_STOPPED",
        "PRICE_NOT_FOUND",
    ]
)
"""Denials that a retry of the same key gets again, whatever has changed since."""

Rule = Callable[["Tenant", Request, int], Outcome]
"""Decides and carries out one kind of operation at a time `now`; raises Denied before changing anything."""


class Tenant:
    """All accounts of one tenant, and the memory of what was decided."""

    def __init__(self, rules: dict[str, Rule], prices: Prices) -> None:
        self._rules = rules
        self.prices = prices
        self.accounts: dict[str, Account] = {}
        self.references: set[tuple[str, str]] = set()
        self.refunded: dict[str, int] = {}
        """What Refunds gave back, by the transaction that had charged it."""
        self.returned: dict[str, int] = {}
        """What late commits gave back, by the expiry's transaction."""
        self.allocations: list[tuple[str, str, int, int]] = []
        """Both of them one by one: the transaction that had charged, the one that gave back, how much, and its cost."""
        self.cost_reversed: dict[str, int] = {}
        """What Refunds took back of the cost, by the transaction that had posted it."""
        self.cost_returned: dict[str, int] = {}
        """What late commits took back of the cost, by the expiry's transaction."""
        self.cost_added: dict[str, int] = {}
        """By how much true-ups have raised the cost of a transaction."""
        self.cost_taken: dict[str, int] = {}
        """By how much they have lowered it."""
        self.stated: set[str] = set()
        """The transactions whose cost a true-up has stated."""
        self.line_costs: dict[tuple[str, str], int] = {}
        """What a true-up has said that a line costs, by its transaction and its id."""
        self.lines: dict[tuple[str, str, str], Line] = {}
        """The usage lines with an id, by account, call and id."""
        self.lines_of: dict[str, tuple[Rated, ...]] = {}
        """The lines that captures have posted, by their transactions."""
        self._decisions: dict[tuple[str, str], Decision] = {}
        self.budgets = Budgets()

    # -- operations

    def apply(self, request: Request, now: int) -> Outcome:
        """Answers one operation at the time `now` (microseconds, never going back)."""
        try:
            validate(request)
        except Denied as denial:
            return Outcome(denied=denial.reason, values=denial.values)
        self.expire_all(now)
        if request["op"] in READS:
            return self._decide(request, now)
        earlier = self._earlier(request)
        if earlier is not None:
            if earlier.fingerprint != fingerprint(request):
                return Outcome(denied="IDEMPOTENCY_KEY_REUSED")
            return replace(earlier.outcome, replayed=True)
        outcome = self._decide(request, now)
        if outcome.denied is None or outcome.denied in STORED_DENIALS:
            self._remember(request, outcome)
        return outcome

    def expire_all(self, now: int) -> None:
        """Ends all due holds, so that what follows sees every book as it is at `now`."""
        before = owed(self.accounts.values())

        def note(hold: Reservation, charge: Charge) -> None:
            nonlocal before
            told = expired(before, self.accounts[hold.account_id], hold, charge, now)
            self.budgets.note(self, now, told)
            before = owed(self.accounts.values())

        for account in self.accounts.values():
            expire_due(account, now, note)

    def _decide(self, request: Request, now: int) -> Outcome:
        touched = self._touched(request)
        known = set(self.accounts)
        before = {key: self.accounts[key].copy() for key in touched}
        memory = set(self.references), dict(self.refunded), dict(self.returned), list(self.allocations)
        owed_before = owed(self.accounts.values())
        costs = dict(self.cost_reversed), dict(self.cost_returned), dict(self.lines)
        stated = dict(self.cost_added), dict(self.cost_taken), set(self.stated), dict(self.line_costs)
        try:
            validate_times(request, now)
            outcome = self._rules[request["op"]](self, request, now)
            self._check_range(touched)
        except Denied as denial:
            self.accounts = {key: before.get(key, account) for key, account in self.accounts.items() if key in known}
            self.references, self.refunded, self.returned, self.allocations = memory
            self.cost_reversed, self.cost_returned, self.lines = costs
            self.cost_added, self.cost_taken, self.stated, self.line_costs = stated
            return Outcome(denied=denial.reason, values=denial.values)
        if request["op"] not in READS:
            changed = [self.accounts[account_id] for account_id in sorted(touched)]
            told = happened(request["op"], owed_before, changed, outcome, now)
            self.budgets.note(self, now, told)
        if outcome.reservation is not None:
            return replace(outcome, reservation=replace(outcome.reservation))
        return outcome

    def _touched(self, request: Request) -> set[str]:
        """The accounts that an operation may change."""
        named = {request.get(name, "") for name in ("account_id", "from_account_id", "to_account_id")}
        hold = self.find_reservation(request.get("reservation_id", ""))
        transaction = self.find_transaction(request.get("transaction_id", ""))
        owners = {found.account_id for found in (hold, transaction) if found is not None}
        return (named | owners) & self.accounts.keys()

    def _check_range(self, account_ids: set[str]) -> None:
        for account_id in account_ids:
            account = self.accounts[account_id]
            for amount in (account.wallet, account.held, account.available, account.receivable):
                if not MONEY_MIN_NANOS <= amount <= MONEY_MAX_NANOS:
                    raise Denied("OUT_OF_RANGE", what=f"a balance of account {account.account_id}")

    # -- keys

    def _earlier(self, request: Request) -> Decision | None:
        key = request["idempotency_key"]
        if request["op"] != "extend":
            return self._decisions.get((request["op"], key))
        hold = self.find_reservation(request["reservation_id"])
        if hold is None or hold.last_extend is None or hold.last_extend.key != key:
            return None
        return hold.last_extend

    def _remember(self, request: Request, outcome: Outcome) -> None:
        decision = Decision(request["idempotency_key"], fingerprint(request), outcome)
        if request["op"] != "extend":
            self._decisions[request["op"], request["idempotency_key"]] = decision
            return
        hold = self.find_reservation(request["reservation_id"])
        if hold is None or (outcome.denied and hold.last_extend and not hold.last_extend.outcome.denied):
            return
        hold.last_extend = decision

    # -- look-ups, used by the rules

    def account(self, account_id: str) -> Account:
        """The account. Raises Denied(NOT_FOUND)."""
        if account_id not in self.accounts:
            raise Denied("NOT_FOUND", resource="account", id=account_id)
        return self.accounts[account_id]

    def find_reservation(self, reservation_id: str) -> Reservation | None:
        """The reservation, or None."""
        for account in self.accounts.values():
            if reservation_id in account.holds:
                return account.holds[reservation_id]
        return None

    def reservation(self, reservation_id: str) -> tuple[Account, Reservation]:
        """The reservation with its account. Raises Denied(NOT_FOUND)."""
        hold = self.find_reservation(reservation_id)
        if hold is None:
            raise Denied("NOT_FOUND", resource="reservation", id=reservation_id)
        return self.accounts[hold.account_id], hold

    def find_transaction(self, transaction_id: str) -> Transaction | None:
        """The transaction, or None."""
        if not transaction_id:
            return None
        written = (entry for account in self.accounts.values() for entry in account.transactions)
        return next((entry for entry in written if entry.transaction_id == transaction_id), None)

    def transaction(self, transaction_id: str) -> tuple[Account, Transaction]:
        """The transaction with its account. Raises Denied(NOT_FOUND)."""
        transaction = self.find_transaction(transaction_id)
        if transaction is None:
            raise Denied("NOT_FOUND", resource="transaction", id=transaction_id)
        return self.accounts[transaction.account_id], transaction

    def left_to_refund(self, transaction: Transaction) -> int:
        """What a transaction charged and nothing has given back yet."""
        given_back = self.refunded.get(transaction.transaction_id, 0) + self.returned.get(transaction.transaction_id, 0)
        return transaction.charged - given_back

    def cost_of(self, transaction: Transaction) -> int:
        """What a transaction costs, true-ups and late commits included, before refunds reverse any of it."""
        name = transaction.transaction_id
        corrected = self.cost_added.get(name, 0) - self.cost_taken.get(name, 0)
        return transaction.cost - self.cost_returned.get(name, 0) + corrected

    def net_cost(self, transaction: Transaction) -> int:
        """What a transaction costs after all."""
        return self.cost_of(transaction) - self.cost_reversed.get(transaction.transaction_id, 0)

    def whole(self, request: Request, name: str, hold: Reservation | None, *, is_estimate: bool) -> tuple[int, Parts]:
        """What a whole call uses: the named amount, or the price of the usage in its place, and its parts."""
        usage = usage_of(request, name)
        if usage is None:
            return amount_of(request, name) or 0, ()
        lines = rate(usage, self.prices_of(hold), is_estimate=is_estimate)
        return total(lines), parts_of(lines)

    def prices_of(self, hold: Reservation | None) -> Prices:
        """Those that the hold was priced by, and of now for what these do not know; else those of now."""
        return self.prices if hold is None or hold.prices is None else {**self.prices, **hold.prices}

    def capture(
        self, account: Account, call: str, request: Request, hold: Reservation | None = None
    ) -> tuple[int, int | None, tuple[Rated, ...]]:
        """Price, cost and lines of what a capture adds; the cost is None of one given as an amount.

        A line that the call has already is free; a call without a name has none yet. Raises Denied(USAGE_LINE_REUSED),
        Denied(PRICE_NOT_FOUND).
        """
        usage = usage_of(request, "amount")
        if usage is None:
            return amount_of(request, "amount") or 0, None, ()
        known = [self.lines.get((account.account_id, call, line.line_id)) for line in usage.lines]
        for line, stored in zip(usage.lines, known, strict=True):
            if stored is not None and stored != line:
                raise Denied("USAGE_LINE_REUSED", account_id=account.account_id, call_id=call, line_id=line.line_id)
        fresh = [line for line, stored in zip(usage.lines, known, strict=True) if stored is None]
        rated = iter(rate(Usage(tuple(fresh)), self.prices_of(hold), is_estimate=False))
        lines = tuple(
            next(rated) if stored is None else Rated(stored, 0, 0, Fraction(0), Fraction(0), duplicate=True)
            for stored in known
        )
        for line in fresh:
            if line.line_id and call:
                self.lines[account.account_id, call, line.line_id] = line
        return total(lines), total_cost(lines), lines

    def itemise(self, transaction_id: str | None, lines: tuple[Rated, ...]) -> tuple[Rated, ...]:
        """Remembers what a capture has posted; returns its lines with their ids."""
        lines = named(lines, transaction_id)
        if transaction_id is not None:
            self.lines_of[transaction_id] = tuple(line for line in lines if not line.duplicate)
        return lines

    def use_reference(self, request: Request) -> None:
        """Claims the external reference, if there is one. Raises Denied(EXTERNAL_REFERENCE_USED)."""
        reference = request.get("external_reference")
        if reference is None:
            return
        if (request["op"], reference) in self.references:
            raise Denied("EXTERNAL_REFERENCE_USED", external_reference=reference)
        self.references.add((request["op"], reference))


def check_currency(request: Request, *accounts: Account) -> None:
    """Raises Denied(CURRENCY_MISMATCH) if the request has an amount in another currency than an account's."""
    first, *others = accounts
    currencies = [account.currency for account in others]
    if any(request.get(name) is not None for name in (*AMOUNT_FIELDS, "line_costs")):
        currencies += [request["currency"], *request.get("more_currencies", ())]
    for currency in currencies:
        if currency != first.currency:
            raise Denied(
                "CURRENCY_MISMATCH",
                account_id=first.account_id,
                account_currency_code=first.currency,
                currency_code=currency,
            )


def fingerprint(request: Request) -> object:
    """What a retry must have in common with the first request: every field that was set, normalised."""
    fields = {name: value for name, value in request.items() if name not in ("op", "idempotency_key")}
    for name in AMOUNT_FIELDS & fields.keys():
        fields[name] = amount_of(request, name)
    return fields
