"""The admin's client: accounts, their credit, their statements; and all that every client has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeAlias, overload

from google.protobuf.field_mask_pb2 import FieldMask
from google.type.money_pb2 import Money

from imprest.v1 import account_service_pb2 as pb
from imprest.v1 import usage_service_pb2
from imprest.v1.account_pb2 import Account as AccountMessage
from imprest_client import wire
from imprest_client.client import PAGE_SIZE, Amount, Labels, LedgerClient, key_or_new
from imprest_client.model import (
    Account,
    AccountReceipt,
    AccountState,
    Balance,
    OverrunPolicy,
    PastBalance,
    Transaction,
    TransactionKind,
    TransactionRefunds,
    TransferReceipt,
    TrialBalance,
    TrueUpReceipt,
)
from imprest_client.times import to_time


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "KEEP"


KEEP: Final = Keep.KEEP
"""In `update_account`: leave the setting as it is."""

Limit: TypeAlias = Amount | None


class AdminClient(LedgerClient):
    """Accounts and their credit, beside everything that `LedgerClient` has."""

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────

    async def create_account(
        self,
        account_id: str = "",
        *,
        currency: str | None = None,
        customer_id: str = "",
        display_name: str = "",
        parent_account_id: str = "",
        credit_limit: Limit = None,
        overrun_policy: OverrunPolicy | None = None,
        max_overrun: Limit = None,
        max_concurrent_calls: int | None = None,
        low_balance_threshold: Limit = None,
        time_zone: str = "",
        labels: Labels | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Create an account with an empty book; what is not given gets the server's default.

        Args:
            account_id: Your choice, unique in the tenant; without one the server makes one.
            currency: The account's currency, for ever; by default the client's.
            customer_id: Your id of the customer; several accounts may share it.
            display_name: A name for people.
            parent_account_id: The account this one is grouped under, for ever.
            credit_limit: How far the wallet may go below zero.
            overrun_policy: What happens to the part of a charge that exceeds its hold.
            max_overrun: Ceiling of what the customer may owe after overruns; None: no ceiling.
            max_concurrent_calls: How many holds may be active at once; None: no limit.
            low_balance_threshold: The available credit below which the account counts as low; None: never.
            time_zone: IANA name of the zone of the account's days and months.
            labels: Free key-value pairs.
            idempotency_key: Makes the request repeatable.
        """
        code = self._code(currency)
        account = AccountMessage(
            account_id=account_id,
            customer_id=customer_id,
            display_name=display_name,
            currency_code=code,
            parent_account_id=parent_account_id,
            credit_limit=self._optional(credit_limit, code),
            max_overrun=self._optional(max_overrun, code),
            max_concurrent_calls=max_concurrent_calls,
            low_balance_threshold=self._optional(low_balance_threshold, code),
            overrun_policy=overrun_policy and f"OVERRUN_POLICY_{overrun_policy}",
            time_zone=time_zone,
            labels=labels,
        )
        request = pb.CreateAccountRequest(account=account, idempotency_key=key_or_new(idempotency_key))
        return wire.account_receipt(await self._call(wire.CREATE_ACCOUNT, request))

    async def get_account(self, account_id: str) -> Account:
        """Return an account."""
        reply = await self._call(wire.GET_ACCOUNT, pb.GetAccountRequest(account_id=account_id))
        return wire.account(reply.account)

    async def update_account(
        self,
        account_id: str,
        *,
        customer_id: str | Keep = KEEP,
        display_name: str | Keep = KEEP,
        credit_limit: Amount | Keep = KEEP,
        overrun_policy: OverrunPolicy | Keep = KEEP,
        max_overrun: Limit | Keep = KEEP,
        max_concurrent_calls: int | Keep | None = KEEP,
        low_balance_threshold: Limit | Keep = KEEP,
        time_zone: str | Keep = KEEP,
        labels: Labels | Keep = KEEP,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Change the settings that are given; None takes a limit away. Labels are replaced as a whole."""
        settings = {
            "customer_id": customer_id,
            "display_name": display_name,
            "credit_limit": self._new_limit(credit_limit, currency),
            "overrun_policy": overrun_policy if overrun_policy is KEEP else f"OVERRUN_POLICY_{overrun_policy}",
            "max_overrun": self._new_limit(max_overrun, currency),
            "max_concurrent_calls": max_concurrent_calls,
            "low_balance_threshold": self._new_limit(low_balance_threshold, currency),
            "time_zone": time_zone,
            "labels": labels,
        }
        # Any: each setting has the type of its field, which the constructor checks.
        changed: dict[str, Any] = {name: value for name, value in settings.items() if value is not KEEP}
        request = pb.UpdateAccountRequest(
            account=AccountMessage(account_id=account_id, **changed),
            update_mask=FieldMask(paths=list(changed)),
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.account_receipt(await self._call(wire.UPDATE_ACCOUNT, request))

    def _new_limit(self, amount: Limit | Keep, currency: str | None) -> Money | Keep | None:
        return amount if isinstance(amount, Keep) else self._optional(amount, currency)

    async def list_accounts(
        self,
        *,
        customer_id: str = "",
        parent_account_id: str = "",
        state: AccountState | None = None,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Account]:
        """All accounts that match, in the order of their ids; pages are fetched as they are needed."""
        request = pb.ListAccountsRequest(
            customer_id=customer_id,
            parent_account_id=parent_account_id,
            state=state and f"ACCOUNT_STATE_{state}",
            page_size=page_size,
        )
        while True:
            page = await self._call(wire.LIST_ACCOUNTS, request)
            for message in page.accounts:
                yield wire.account(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def freeze_account(self, account_id: str, *, idempotency_key: str | None = None) -> AccountReceipt:
        """Stop new spending. Running calls can still be committed or voided, and credit can be added."""
        request = pb.FreezeAccountRequest(account_id=account_id, idempotency_key=key_or_new(idempotency_key))
        return wire.account_receipt(await self._call(wire.FREEZE_ACCOUNT, request))

    async def unfreeze_account(self, account_id: str, *, idempotency_key: str | None = None) -> AccountReceipt:
        """Allow spending again."""
        request = pb.UnfreezeAccountRequest(account_id=account_id, idempotency_key=key_or_new(idempotency_key))
        return wire.account_receipt(await self._call(wire.UNFREEZE_ACCOUNT, request))

    async def close_account(
        self, account_id: str, *, forfeit: bool = False, idempotency_key: str | None = None
    ) -> AccountReceipt:
        """Close an account for good; with `forfeit` what is left in the wallet is given up."""
        request = pb.CloseAccountRequest(
            account_id=account_id, forfeit=forfeit, idempotency_key=key_or_new(idempotency_key)
        )
        return wire.account_receipt(await self._call(wire.CLOSE_ACCOUNT, request))

    @overload
    async def get_balance(self, account_id: str, *, as_of: None = None) -> Balance: ...
    @overload
    async def get_balance(self, account_id: str, *, as_of: datetime) -> PastBalance: ...
    async def get_balance(self, account_id: str, *, as_of: datetime | None = None) -> Balance | PastBalance:
        """Return what an account has, holds and owes now; or what it had and owed at a past instant."""
        request = pb.GetBalanceRequest(account_id=account_id, as_of=None if as_of is None else to_time(as_of))
        reply = await self._call(wire.GET_BALANCE, request)
        return wire.balance(reply.balance) if as_of is None else wire.past_balance(reply.balance)

    # ── credit ───────────────────────────────────────────────────────────────────────────────────────

    async def add_credit(
        self,
        account_id: str,
        amount: Amount,
        *,
        payment_fee: Amount | None = None,
        external_reference: str = "",
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Post a purchase of credit.

        Args:
            account_id: Whose.
            amount: What the customer paid; above 0.
            payment_fee: What the payment cost you; does not lower the credit.
            external_reference: The payment's id, unique among added credits: it cannot be posted twice.
            labels: Free key-value pairs.
            currency: Currency of the amounts.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.AddCreditRequest(
            account_id=account_id,
            amount=self._money(amount, currency),
            payment_fee=self._optional(payment_fee, currency),
            external_reference=external_reference,
            idempotency_key=key_or_new(idempotency_key),
            labels=labels,
        )
        return wire.account_receipt(await self._call(wire.ADD_CREDIT, request))

    async def reverse_credit(
        self,
        account_id: str,
        amount: Amount,
        *,
        external_reference: str = "",
        reason: str = "",
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Take bought credit back after a chargeback or a failed payment; what is spent already the customer owes."""
        request = pb.ReverseCreditRequest(
            account_id=account_id,
            amount=self._money(amount, currency),
            external_reference=external_reference,
            reason=reason,
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.account_receipt(await self._call(wire.REVERSE_CREDIT, request))

    async def grant_credit(
        self,
        account_id: str,
        amount: Amount,
        *,
        external_reference: str = "",
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Give credit away as a promotion."""
        request = pb.GrantCreditRequest(
            account_id=account_id,
            amount=self._money(amount, currency),
            external_reference=external_reference,
            idempotency_key=key_or_new(idempotency_key),
            labels=labels,
        )
        return wire.account_receipt(await self._call(wire.GRANT_CREDIT, request))

    async def adjust(
        self,
        account_id: str,
        amount: Amount,
        *,
        reason: str,
        external_reference: str = "",
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Correct the credit: an amount above 0 adds, below 0 takes (at most what is available)."""
        request = pb.AdjustRequest(
            account_id=account_id,
            amount=self._money(amount, currency),
            reason=reason,
            external_reference=external_reference,
            idempotency_key=key_or_new(idempotency_key),
            labels=labels,
        )
        return wire.account_receipt(await self._call(wire.ADJUST, request))

    async def withdraw(
        self,
        account_id: str,
        amount: Amount,
        *,
        external_reference: str = "",
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AccountReceipt:
        """Pay credit out to the customer: neither a credit line nor held credit can leave."""
        request = pb.WithdrawRequest(
            account_id=account_id,
            amount=self._money(amount, currency),
            external_reference=external_reference,
            idempotency_key=key_or_new(idempotency_key),
            labels=labels,
        )
        return wire.account_receipt(await self._call(wire.WITHDRAW, request))

    async def transfer(
        self,
        from_account_id: str,
        to_account_id: str,
        amount: Amount,
        *,
        reason: str = "",
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> TransferReceipt:
        """Move credit between two accounts of one currency."""
        request = pb.TransferRequest(
            from_account_id=from_account_id,
            to_account_id=to_account_id,
            amount=self._money(amount, currency),
            idempotency_key=key_or_new(idempotency_key),
            reason=reason,
        )
        return wire.transfer_receipt(await self._call(wire.TRANSFER, request))

    async def true_up_cost(
        self,
        cost: Amount | None = None,
        *,
        lines: Mapping[str, Amount] | None = None,
        transaction_id: str | None = None,
        reservation_id: str | None = None,
        reason: str = "",
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> TrueUpReceipt:
        """Correct what providers charge for usage that has been charged; the customer's money stays as it is.

        Args:
            cost: What the target costs in all, at least 0: the difference to what it cost so far is posted.
            lines: What single usage lines of the target cost, by `line_id`, in place of `cost`: a call has several
                providers, and each sends an invoice of its own.
            transaction_id: A transaction that charged for usage; give this or `reservation_id`.
            reservation_id: All captures of this hold together.
            reason: Why, for the record.
            currency: Currency of the costs.
            idempotency_key: Makes the request repeatable.
        """
        request = usage_service_pb2.TrueUpCostRequest(
            transaction_id=transaction_id,
            reservation_id=reservation_id,
            cost=None if cost is None else self._money(cost, currency),
            lines=[
                usage_service_pb2.LineCost(line_id=line_id, cost=self._money(amount, currency))
                for line_id, amount in (lines or {}).items()
            ],
            reason=reason,
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.true_up_receipt(await self._call(wire.TRUE_UP_COST, request))

    # ── statements ───────────────────────────────────────────────────────────────────────────────────

    async def list_transactions(
        self,
        account_id: str,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        kinds: Collection[TransactionKind] = (),
        reservation_id: str = "",
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Transaction]:
        """An account's transactions from `start_time` to before `end_time`, the oldest first, page by page.

        With `reservation_id` only what belongs to that hold: its captures, its end, and refunds of it.
        """
        request = pb.ListTransactionsRequest(
            account_id=account_id,
            page_size=page_size,
            start_time=None if start_time is None else to_time(start_time),
            end_time=None if end_time is None else to_time(end_time),
            kinds=[f"TRANSACTION_KIND_{kind}" for kind in kinds],
            reservation_id=reservation_id,
        )
        while True:
            page = await self._call(wire.LIST_TRANSACTIONS, request)
            for message in page.transactions:
                yield wire.transaction(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_transaction(self, transaction_id: str) -> Transaction:
        """Return a transaction."""
        reply = await self._call(wire.GET_TRANSACTION, pb.GetTransactionRequest(transaction_id=transaction_id))
        return wire.transaction(reply.transaction)

    async def get_transaction_refunds(self, transaction_id: str) -> TransactionRefunds:
        """Return a transaction with what has been given back of it, what it gave back, and its usage line by line."""
        reply = await self._call(wire.GET_TRANSACTION, pb.GetTransactionRequest(transaction_id=transaction_id))
        return wire.transaction_refunds(reply)

    async def get_trial_balance(self, account_id: str | None = None) -> list[TrialBalance]:
        """The balances of every line of the chart, one entry per currency: of one account, or of all of them."""
        reply = await self._call(wire.GET_TRIAL_BALANCE, pb.GetTrialBalanceRequest(account_id=account_id))
        return [wire.trial_balance(message, reply.as_of) for message in reply.trial_balances]
