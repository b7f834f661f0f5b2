"""docs/STATES.md, cell by cell: every state × operation pair, against the pure rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_server.ledger.model import AccountState, ReservationState
from imprest_server.ledger.operations import OperationKind
from tests.scenarios.contract import Result
from tests.scenarios.rules_adapter import RulesAdapter

DOC = Path(__file__).parents[2] / "docs" / "STATES.md"
DAY = Decimal(86_400)


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, its ruler left out."""
    section = DOC.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


class Bench:
    """One account `acme` with 100 USD and a hold of 10 USD on it, which has reported 3 USD as used."""

    def __init__(self) -> None:
        self.rules = RulesAdapter()
        self.hold = ""
        self.charge = ""
        self._keys = 0

    async def do(self, op: str, **fields: object) -> Result:
        """Carry out one operation with a key of its own."""
        self._keys += 1
        return await self.rules.apply({"op": op, "idempotency_key": f"k{self._keys}", **fields})

    async def must(self, op: str, **fields: object) -> Result:
        """As `do`, of an operation that has to succeed."""
        result = await self.do(op, **fields)
        assert result.denied is None, (op, result)
        return result

    async def open(self) -> Bench:
        """Make the account and its hold."""
        for account in ("acme", "other"):
            await self.must("create_account", account_id=account)
            await self.must("add_credit", account_id=account, amount="100")
        charged = await self.must("charge", account_id="acme", amount="5", call_id="c")
        assert charged.transaction_id is not None
        self.charge = charged.transaction_id
        reserved = await self.must("reserve", account_id="acme", amount="10", call_id="c")
        assert reserved.reservation_id is not None
        self.hold = reserved.reservation_id
        await self.must("extend", reservation_id=self.hold, used="3")
        return self


# ── reservations ─────────────────────────────────────────────────────────────────────────────────────


async def _capture(bench: Bench) -> None:
    await bench.must("commit", reservation_id=bench.hold, amount="1", final=False)


async def _commit(bench: Bench) -> None:
    await bench.must("commit", reservation_id=bench.hold, amount="4")


async def _void(bench: Bench) -> None:
    await bench.must("void", reservation_id=bench.hold)


async def _capture_and_void(bench: Bench) -> None:
    await _capture(bench)
    await _void(bench)


async def _expire(bench: Bench) -> None:
    await bench.rules.advance(DAY)


async def _expire_for_good(bench: Bench) -> None:
    await bench.rules.advance(9 * DAY)


async def _commit_late(bench: Bench) -> None:
    await bench.rules.advance(DAY)
    await _commit(bench)


async def _nothing(bench: Bench) -> None:
    """The bench as it opens."""


RESERVATION_STATES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "ACTIVE": _nothing,
    "ACTIVE, partly captured": _capture,
    "COMMITTED": _commit,
    "COMMITTED, ended by Void": _capture_and_void,
    "VOIDED": _void,
    "EXPIRED, within the late commit window": _expire,
    "EXPIRED, after the window": _expire_for_good,
    "COMMITTED, late": _commit_late,
}
RESERVATION_OPERATIONS: dict[str, Callable[[Bench], Awaitable[Result]]] = {
    "Extend": lambda bench: bench.do("extend", reservation_id=bench.hold, new_total="12"),
    "Commit": lambda bench: bench.do("commit", reservation_id=bench.hold, amount="4"),
    "Void": lambda bench: bench.do("void", reservation_id=bench.hold),
    "Refund": lambda bench: bench.do("refund", reservation_id=bench.hold),
}
RESERVATION_CELLS = [
    pytest.param(row[0], operation, cell, id=f"{row[0]} × {operation}")
    for header, *rows in [table("Reservations")]
    for row in rows
    for operation, cell in zip(header[1:], row[1:], strict=True)
]


@pytest.mark.parametrize(("state", "operation", "expected"), RESERVATION_CELLS)
async def test_reservation_cell(state: str, operation: str, expected: str) -> None:
    bench = await Bench().open()
    await RESERVATION_STATES[state](bench)
    before = await bench.rules.balance("acme")
    result = await RESERVATION_OPERATIONS[operation](bench)
    answer, _, leads_to = expected.partition(" → ")
    assert (result.denied or "OK") == answer
    if leads_to:
        assert result.fields["state"] == leads_to
    if result.denied:
        assert await bench.rules.balance("acme") == before


def test_every_reservation_state_has_a_row() -> None:
    rows = [row[0] for row in table("Reservations")[1:]]
    assert rows == list(RESERVATION_STATES)
    assert {row.split(",")[0] for row in rows} == {state.value for state in ReservationState}


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────


async def _freeze(bench: Bench) -> None:
    await bench.must("freeze", account_id="acme")


async def _close(bench: Bench) -> None:
    """Let the hold expire, close the empty account, then leave a receivable of 2 by a chargeback."""
    await bench.rules.advance(DAY)
    await bench.must("close", account_id="acme", forfeit=True)
    await bench.must("reverse_credit", account_id="acme", amount="2")


async def _owe(bench: Bench) -> None:
    """Make the account owe 2, unless it does already."""
    balance = await bench.rules.balance("acme")
    if balance.receivable == "0":
        await bench.must("reverse_credit", account_id="acme", amount=str(Decimal(balance.available) + 2))


async def _add_up_to_receivable(bench: Bench) -> Result:
    await _owe(bench)
    return await bench.do("add_credit", account_id="acme", amount="2")


ACCOUNT_STATES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "ACTIVE": _nothing,
    "FROZEN": _freeze,
    "CLOSED": _close,
}
ACCOUNT_OPERATIONS: dict[str, tuple[str, Callable[[Bench], Awaitable[Result]]]] = {
    "CreateAccount, same id": ("CREATE_ACCOUNT", lambda b: b.do("create_account", account_id="acme")),
    "CreateAccount, as its child": (
        "CREATE_ACCOUNT",
        lambda b: b.do("create_account", account_id="child", parent_account_id="acme"),
    ),
    "UpdateAccount": ("UPDATE_ACCOUNT", lambda b: b.do("update_account", account_id="acme", credit_limit="1")),
    "FreezeAccount": ("FREEZE_ACCOUNT", lambda b: b.do("freeze", account_id="acme")),
    "UnfreezeAccount": ("UNFREEZE_ACCOUNT", lambda b: b.do("unfreeze", account_id="acme")),
    "CloseAccount, with an open hold": ("CLOSE_ACCOUNT", lambda b: b.do("close", account_id="acme", forfeit=True)),
    "AddCredit": ("ADD_CREDIT", lambda b: b.do("add_credit", account_id="acme", amount="3")),
    "AddCredit, up to the receivable": ("ADD_CREDIT", _add_up_to_receivable),
    "ReverseCredit": ("REVERSE_CREDIT", lambda b: b.do("reverse_credit", account_id="acme", amount="1")),
    "GrantCredit": ("GRANT_CREDIT", lambda b: b.do("grant_credit", account_id="acme", amount="1")),
    "Adjust": ("ADJUST", lambda b: b.do("adjust", account_id="acme", amount="1", reason="r")),
    "Withdraw": ("WITHDRAW", lambda b: b.do("withdraw", account_id="acme", amount="1")),
    "Transfer out": (
        "TRANSFER",
        lambda b: b.do("transfer", from_account_id="acme", to_account_id="other", amount="1"),
    ),
    "Transfer in": (
        "TRANSFER",
        lambda b: b.do("transfer", from_account_id="other", to_account_id="acme", amount="1"),
    ),
    "Reserve": ("RESERVE", lambda b: b.do("reserve", account_id="acme", amount="1", call_id="c")),
    "Charge": ("CHARGE", lambda b: b.do("charge", account_id="acme", amount="1", call_id="c")),
    "RecordUsage": ("RECORD_USAGE", lambda b: b.do("record_usage", account_id="acme", amount="1", call_id="c")),
    "Extend, same total": ("EXTEND", lambda b: b.do("extend", reservation_id=b.hold, new_total="10")),
    "Extend, higher total": ("EXTEND", lambda b: b.do("extend", reservation_id=b.hold, new_total="11")),
    "Commit": ("COMMIT", lambda b: b.do("commit", reservation_id=b.hold, amount="4")),
    "Void": ("VOID", lambda b: b.do("void", reservation_id=b.hold)),
    "Refund": ("REFUND", lambda b: b.do("refund", transaction_id=b.charge)),
    "TrueUpCost": ("TRUE_UP_COST", lambda b: b.do("true_up_cost", transaction_id=b.charge, cost="1")),
}
ACCOUNT_CELLS = [
    pytest.param(state, row[0], cell, id=f"{row[0]} × {state}")
    for header, *rows in [table("Accounts")]
    for row in rows
    for state, cell in zip(header[1:], row[1:], strict=True)
]


@pytest.mark.parametrize(("state", "operation", "expected"), ACCOUNT_CELLS)
async def test_account_cell(state: str, operation: str, expected: str) -> None:
    bench = await Bench().open()
    await ACCOUNT_STATES[state](bench)
    result = await ACCOUNT_OPERATIONS[operation][1](bench)
    answer, _, denial_reason = expected.partition(", final_unit: ")
    assert (result.denied or "OK") == answer
    if denial_reason:
        assert (result.fields["final_unit"], result.fields["denial_reason"]) == (True, denial_reason)


def test_every_account_state_and_operation_has_a_cell() -> None:
    header, *rows = table("Accounts")
    assert header[1:] == [state.value for state in AccountState] == list(ACCOUNT_STATES)
    assert [row[0] for row in rows] == list(ACCOUNT_OPERATIONS)
    tried = {kind for kind, _ in ACCOUNT_OPERATIONS.values()}
    assert tried == {kind.value for kind in OperationKind} - {"EXPIRE", "RERATE", "CHARGE_SUBSCRIPTION"}
