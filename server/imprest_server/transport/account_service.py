"""AccountService: accounts, their credit, their statements. Like `ledger_service`, a thin translation."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import account_service_pb2 as pb
from imprest.v1.account_service_pb2_grpc import AccountServiceServicer
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import AccountId
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import Balance, TransactionKind
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.validation import check_text
from imprest_server.transport.account_settings import given_settings, masked_settings
from imprest_server.transport.convert import (
    parse_account_id,
    parse_amount,
    parse_reservation,
    parse_time,
    parse_transaction,
    required_amount,
    to_time,
)
from imprest_server.transport.identity import TENANT
from imprest_server.transport.prices import first_of
from imprest_server.transport.replies import account_reply, id_of
from imprest_server.transport.resources import (
    ACCOUNT_STATE,
    TRANSACTION_KIND,
    to_account,
    to_balance,
    to_past_balance,
    to_refund_allocation,
    to_transaction,
    to_trial_balance,
)
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage import to_rated_line

Context = ServicerContext[Message, Message]


class AccountService(AccountServiceServicer):
    """What an admin and a billing system need; the proto's comments are the contract."""

    def __init__(self, submit: Submit, queries: Queries) -> None:
        self._submit = submit
        self._queries = queries

    async def CreateAccount(self, request: pb.CreateAccountRequest, context: Context) -> pb.CreateAccountResponse:
        """Open an account."""
        account = request.account
        outcome = await self._submit(
            ops.CreateAccount(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(account.account_id, "account.account_id") if account.account_id else None,
                currency_code=account.currency_code,
                parent_account_id=(
                    parse_account_id(account.parent_account_id, "account.parent_account_id")
                    if account.parent_account_id
                    else None
                ),
                settings=given_settings(account),
            )
        )
        return account_reply(pb.CreateAccountResponse, outcome)

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        """Return an account."""
        account = await self._queries.get_account(TENANT, parse_account_id(request.account_id))
        return pb.GetAccountResponse(account=to_account(account))

    async def UpdateAccount(self, request: pb.UpdateAccountRequest, context: Context) -> pb.UpdateAccountResponse:
        """Change settings."""
        account, paths = request.account, request.update_mask.paths
        outcome = await self._submit(
            ops.UpdateAccount(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(account.account_id, "account.account_id"),
                currency_code=account.currency_code or None,
                parent_account_id=AccountId(account.parent_account_id) if account.parent_account_id else None,
                settings=masked_settings(account, paths) if paths else given_settings(account),
            )
        )
        return account_reply(pb.UpdateAccountResponse, outcome)

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Context) -> pb.ListAccountsResponse:
        """List accounts by id."""
        check_text(request.customer_id, "customer_id")
        parent = request.parent_account_id
        accounts, next_page_token = await self._queries.list_accounts(
            TENANT,
            customer_id=request.customer_id or None,
            parent_account_id=parse_account_id(parent, "parent_account_id") if parent else None,
            state=ACCOUNT_STATE.parse(request.state, "state"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListAccountsResponse(
            accounts=[to_account(account) for account in accounts], next_page_token=next_page_token
        )

    async def FreezeAccount(self, request: pb.FreezeAccountRequest, context: Context) -> pb.FreezeAccountResponse:
        """Deny new calls and outgoing money."""
        outcome = await self._submit(
            ops.FreezeAccount(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
            )
        )
        return account_reply(pb.FreezeAccountResponse, outcome)

    async def UnfreezeAccount(self, request: pb.UnfreezeAccountRequest, context: Context) -> pb.UnfreezeAccountResponse:
        """Undo a freeze."""
        outcome = await self._submit(
            ops.UnfreezeAccount(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
            )
        )
        return account_reply(pb.UnfreezeAccountResponse, outcome)

    async def CloseAccount(self, request: pb.CloseAccountRequest, context: Context) -> pb.CloseAccountResponse:
        """End an account for good."""
        outcome = await self._submit(
            ops.CloseAccount(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                forfeit=request.forfeit,
            )
        )
        return account_reply(pb.CloseAccountResponse, outcome)

    async def AddCredit(self, request: pb.AddCreditRequest, context: Context) -> pb.AddCreditResponse:
        """Post a purchase."""
        outcome = await self._submit(
            ops.AddCredit(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=required_amount(request),
                payment_fee=parse_amount(request, "payment_fee"),
                external_reference=request.external_reference or None,
                labels=dict(request.labels) or None,
            )
        )
        return account_reply(pb.AddCreditResponse, outcome)

    async def ReverseCredit(self, request: pb.ReverseCreditRequest, context: Context) -> pb.ReverseCreditResponse:
        """Take bought credit back."""
        outcome = await self._submit(
            ops.ReverseCredit(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=required_amount(request),
                external_reference=request.external_reference or None,
                reason=request.reason or None,
            )
        )
        return account_reply(pb.ReverseCreditResponse, outcome)

    async def GrantCredit(self, request: pb.GrantCreditRequest, context: Context) -> pb.GrantCreditResponse:
        """Give credit away."""
        outcome = await self._submit(
            ops.GrantCredit(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=required_amount(request),
                external_reference=request.external_reference or None,
                labels=dict(request.labels) or None,
            )
        )
        return account_reply(pb.GrantCreditResponse, outcome)

    async def Adjust(self, request: pb.AdjustRequest, context: Context) -> pb.AdjustResponse:
        """Correct the credit, up or down."""
        outcome = await self._submit(
            ops.Adjust(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=required_amount(request),
                external_reference=request.external_reference or None,
                reason=request.reason or None,
                labels=dict(request.labels) or None,
            )
        )
        return account_reply(pb.AdjustResponse, outcome)

    async def Withdraw(self, request: pb.WithdrawRequest, context: Context) -> pb.WithdrawResponse:
        """Pay credit out."""
        outcome = await self._submit(
            ops.Withdraw(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=required_amount(request),
                external_reference=request.external_reference or None,
                labels=dict(request.labels) or None,
            )
        )
        return account_reply(pb.WithdrawResponse, outcome)

    async def Transfer(self, request: pb.TransferRequest, context: Context) -> pb.TransferResponse:
        """Move credit between two accounts."""
        outcome = await self._submit(
            ops.Transfer(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                from_account_id=parse_account_id(request.from_account_id, "from_account_id"),
                to_account_id=parse_account_id(request.to_account_id, "to_account_id"),
                amount=required_amount(request),
                reason=request.reason or None,
            )
        )
        receiver = outcome.reply.to_balance
        assert receiver is not None, "a transfer answers with the receiver's balance too"
        return account_reply(
            pb.TransferResponse,
            outcome,
            to_balance=to_balance(receiver),
            to_transaction_id=id_of(outcome.reply.to_transaction_id),
        )

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        """Return a balance, of now or of a past instant."""
        balance = await self._queries.get_balance(
            TENANT, parse_account_id(request.account_id), parse_time(request, "as_of")
        )
        return pb.GetBalanceResponse(
            balance=to_balance(balance) if isinstance(balance, Balance) else to_past_balance(balance)
        )

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        """List an account's transactions by seq."""
        found, currency, next_page_token = await self._queries.list_transactions(
            TENANT,
            parse_account_id(request.account_id),
            start_time=parse_time(request, "start_time"),
            end_time=parse_time(request, "end_time"),
            kinds=[_kind(number) for number in request.kinds],
            reservation_id=parse_reservation(request.reservation_id) if request.reservation_id else None,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListTransactionsResponse(
            transactions=[to_transaction(transaction, currency) for transaction in found],
            next_page_token=next_page_token,
        )

    async def GetTransaction(self, request: pb.GetTransactionRequest, context: Context) -> pb.GetTransactionResponse:
        """Return a transaction."""
        transaction_id = parse_transaction(request.transaction_id)
        transaction, currency, allocations = await self._queries.get_transaction(TENANT, transaction_id)
        reply = pb.GetTransactionResponse(transaction=to_transaction(transaction, currency))
        for allocation in allocations:
            side = reply.refunded_by if allocation.captured_transaction_id == transaction_id else reply.refund_of
            side.append(to_refund_allocation(allocation, currency))
        lines = await self._queries.usage_of_transaction(transaction)
        reply.lines.extend(first_of(to_rated_line(line, currency) for line in lines))
        return reply

    async def GetTrialBalance(self, request: pb.GetTrialBalanceRequest, context: Context) -> pb.GetTrialBalanceResponse:
        """Return the balances of the whole chart."""
        account_id = parse_account_id(request.account_id) if request.HasField("account_id") else None
        trial_balances, as_of = await self._queries.trial_balance(TENANT, account_id)
        return pb.GetTrialBalanceResponse(
            trial_balances=[to_trial_balance(trial_balance) for trial_balance in trial_balances], as_of=to_time(as_of)
        )


def _kind(number: int) -> TransactionKind:
    kind = TRANSACTION_KIND.parse(number, "kinds")
    if kind is None:
        raise InvalidArgument(field="kinds", problem="must not be unspecified")
    return kind
