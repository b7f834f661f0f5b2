"""A first call: hold credit before dialing, commit what the call has cost, read the balance.

Start a server with `imprest serve`, then run `python examples/first_call.py [host:port]`. Run it again: the account and
its credit are there already (same keys, nothing happens twice), and the customer makes another call.
"""

import sys
import uuid

import grpc

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest, GetBalanceRequest
from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.ledger_service_pb2 import CommitRequest, ReserveRequest
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest_client.money import to_decimal, to_money

with grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400") as channel:
    accounts, ledger = AccountServiceStub(channel), LedgerServiceStub(channel)

    acme = Account(account_id="acme", currency_code="USD")
    accounts.CreateAccount(CreateAccountRequest(account=acme, idempotency_key="open-acme"))
    accounts.AddCredit(AddCreditRequest(account_id="acme", amount=to_money(25, "USD"), idempotency_key="payment-1"))

    call_id = f"call-{uuid.uuid4()}"
    hold = ReserveRequest(account_id="acme", amount=to_money(2, "USD"), call_id=call_id, idempotency_key=call_id)
    reservation = ledger.Reserve(hold).reservation  # raises grpc.RpcError when the credit does not suffice
    print(f"held {to_decimal(reservation.amount)} USD, the call may start")

    cost = to_money("0.35", "USD")
    ledger.Commit(CommitRequest(reservation_id=reservation.reservation_id, amount=cost, idempotency_key=call_id))
    balance = accounts.GetBalance(GetBalanceRequest(account_id="acme")).balance
    print(f"charged {to_decimal(cost)} USD, {to_decimal(balance.wallet)} left, {to_decimal(balance.held)} held")
