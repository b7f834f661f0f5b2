"""Many operations in few requests: the fastest way in for imports, settlements and other work nobody waits for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from google.protobuf.message import Message

from imprest_client.admin import AdminClient
from imprest_client.bulk import execute, is_batchable, pieces
from imprest_client.client import LedgerClient
from imprest_client.connection import Connection, Method, Reply
from imprest_client.errors import ImprestError, Retryable

P = ParamSpec("P")
R = TypeVar("R")


class Operation(Generic[R]):
    """One operation of a batch, and, when the batch was executed, what became of it."""

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        """Take a client's method as far as its request."""
        self._coroutine = coroutine
        asked = coroutine.send(None)
        assert isinstance(asked, _Request), "the first thing that such a method waits for is its reply"
        self.request: Message = asked.message
        """The request."""
        self.error: ImprestError | None = None
        """Why it failed; None as long as it has not. A `Retryable` one leaves it undecided: execute the batch again."""
        self._result: R | None = None
        self._is_done = False

    @property
    def idempotency_key(self) -> str:
        """The key it is sent with."""
        key: str = getattr(self.request, "idempotency_key", "")
        return key

    @property
    def is_decided(self) -> bool:
        """Whether it was carried out, or has failed for good."""
        return self._is_done or (self.error is not None and not isinstance(self.error, Retryable))

    @property
    def result(self) -> R:
        """What the client's method returns.

        Raises:
            ImprestError: it failed with this.
            ValueError: its batch was not executed yet.
        """
        if self.error is not None:
            raise self.error
        if not self._is_done:
            raise ValueError("the batch was not executed yet")
        return self._result  # type: ignore[return-value]  # which may be None itself

    def _decide(self, outcome: Message | ImprestError) -> None:
        if isinstance(outcome, ImprestError):
            self.error = outcome
            return
        try:
            self._coroutine.send(outcome)
        except StopIteration as returned:
            self._result, self._is_done, self.error = returned.value, True, None


class _Request:
    """What a method waits for: the reply to its request, which somebody else sends."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def __await__(self) -> Generator[_Request, Any, Any]:
        return (yield self)


class _Collector(Connection):
    """Stands in for a connection, and sends nothing."""

    async def call(self, method: Method[Reply], request: Message, *, timeout_s: float | None = None) -> Reply:
        if not is_batchable(request):
            raise ValueError(f"{method.path} cannot be part of a batch")
        reply: Reply = await _Request(request)
        return reply


def _collecting(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], Operation[R]]:
    """The method of a batch that adds what this method of a client would do."""

    @functools.wraps(method)
    def add(self: Operations, /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]:
        operation = Operation(method(self._client, *args, **kwargs))
        self.operations.append(operation)
        return operation

    return add


class Operations:
    """The methods of `AgentClient`, `CallController` and `AdminClient` that change something, with the same arguments.

    Each only notes what is to be done, and returns an `Operation`.
    """

    def __init__(self, currency: str | None) -> None:
        """Begin without any; amounts without a currency are in this one."""
        self.operations: list[Operation[Any]] = []
        """What was asked for so far, in this order."""
        self._client = AdminClient(_Collector(""), currency=currency)

    reserve = _collecting(LedgerClient.reserve)
    extend = _collecting(LedgerClient.extend)
    commit = _collecting(LedgerClient.commit)
    void = _collecting(LedgerClient.void)
    charge = _collecting(LedgerClient.charge)
    record_usage = _collecting(LedgerClient.record_usage)
    refund = _collecting(LedgerClient.refund)
    create_account = _collecting(AdminClient.create_account)
    update_account = _collecting(AdminClient.update_account)
    freeze_account = _collecting(AdminClient.freeze_account)
    unfreeze_account = _collecting(AdminClient.unfreeze_account)
    close_account = _collecting(AdminClient.close_account)
    add_credit = _collecting(AdminClient.add_credit)
    reverse_credit = _collecting(AdminClient.reverse_credit)
    grant_credit = _collecting(AdminClient.grant_credit)
    adjust = _collecting(AdminClient.adjust)
    withdraw = _collecting(AdminClient.withdraw)
    transfer = _collecting(AdminClient.transfer)
    true_up_cost = _collecting(AdminClient.true_up_cost)


class Batch(Operations):
    """Collects operations, and sends them in few requests.

        batch = Batch(client)
        fees = [batch.charge(account_id, "0.10") for account_id in account_ids]
        for failed in await batch.execute():
            print(failed.error)

    Every operation succeeds or fails by itself and has its own idempotency key. They begin in their order, but one may
    be finished before an earlier one: do not put two into a batch of which one depends on the other.
    """

    def __init__(self, client: LedgerClient) -> None:
        """Begin a batch that is sent over the client's connection, in its currency."""
        super().__init__(client._currency)
        self._sender = client

    async def execute(self) -> list[Operation[Any]]:
        """Send all that is not decided, 250 at a time; return the operations that have failed.

        Each piece of 250 may take as long as a request of the client. What is undecided then has a `Retryable` error;
        executing again sends only that, with the same keys.
        """
        waiting = [operation for operation in self.operations if not operation.is_decided]
        for piece in pieces(waiting, lambda operation: operation.request):
            outcomes = await execute(
                self._sender._connection, [operation.request for operation in piece], timeout_s=self._sender._timeout_s
            )
            for operation, outcome in zip(piece, outcomes, strict=True):
                operation._decide(outcome)
        return [operation for operation in self.operations if operation.error is not None]
