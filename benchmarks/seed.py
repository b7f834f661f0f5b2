"""The accounts that every load finds, and the amounts it moves."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import psycopg

from imprest_server.budgets.model import AlertLevel, BudgetBasis, BudgetId, Scope, Threshold, ThresholdAction
from imprest_server.budgets.operations import SetBudget
from imprest_server.budgets.service import BudgetAdmin
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.money import NANOS_PER_UNIT, Money
from imprest_server.core.periods import PeriodKind
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.db.pool import connect_engine, read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.model import BookSide, Price, PriceBookId
from imprest_server.pricing.operations import AssignPriceBook, CreatePriceBook, PublishPrices
from imprest_server.pricing.service import PriceAdmin

TENANT = TenantId("default")
CURRENCY = "USD"
ACCOUNTS = 1_000
CREDIT = Money(CURRENCY, 10_000_000 * NANOS_PER_UNIT)
HOLD = Money(CURRENCY, NANOS_PER_UNIT)
ACTUAL = Money(CURRENCY, NANOS_PER_UNIT * 3 // 4)

#: A voice call's meters: provider, model, unit price, per quantity.
_PRICES = (
    ("stt.seconds", "deepgram", "nova-3", Decimal("0.0043"), Decimal(60)),
    ("llm.input_tokens", "openai", "gpt-4o-mini", Decimal("0.15"), Decimal(1_000_000)),
    ("llm.output_tokens", "openai", "gpt-4o-mini", Decimal("0.60"), Decimal(1_000_000)),
    ("telephony.outbound_seconds", "", "", Decimal("0.0085"), Decimal(60)),
)
ESTIMATE = UsageReport(
    lines=tuple(
        UsageLine(meter=meter, provider=provider, model=model, quantity=Decimal(quantity))
        for (meter, provider, model, _, _), quantity in zip(_PRICES, (120, 9_000, 1_500, 180), strict=True)
    )
)


def account_id(number: int) -> AccountId:
    """The name of an account, from 0 to ACCOUNTS - 1."""
    return AccountId(f"acc-{number:04d}")


def make_engine(dsn: str, batch_max: int) -> Engine:
    """An engine on the database, not started, with time to spare: a slow machine must not fail a benchmark."""

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await connect_engine(dsn, statement_timeout_ms=60_000, lock_timeout_ms=30_000)

    return Engine(connect, Terms(), batch_max=batch_max, queue_max=10_000)


def seed(dsn: str) -> None:
    """Open the accounts, each with more credit than any run can spend."""
    asyncio.run(_seed(dsn))


async def sell(dsn: str) -> None:
    """Publish what the estimate's meters are sold for and cost."""
    async with read_pool(dsn, statement_timeout_ms=60_000, lock_timeout_ms=30_000) as pool:
        admin = PriceAdmin(pool, PriceCache())
        for side, factor in ((BookSide.COST, Decimal(1)), (BookSide.SALE, Decimal("1.4"))):
            book = PriceBookId(side.value)
            key = {"tenant_id": TENANT, "idempotency_key": side.value}
            await admin.create_book(
                CreatePriceBook(**key, price_book_id=book, side=side, currency_code=CURRENCY, display_name="")
            )
            prices = [
                Price(meter=meter, provider=provider, model=model, unit_price=price * factor, per_quantity=per)
                for meter, provider, model, price, per in _PRICES
            ]
            await admin.publish(PublishPrices(**key, price_book_id=book, prices=prices))
            await admin.assign(AssignPriceBook(**key, account_id=None, price_book_id=book))


async def limit(dsn: str) -> None:
    """Set a budget over all that the tenant spends, which blocks far beyond what any run can spend."""
    async with read_pool(dsn, statement_timeout_ms=60_000, lock_timeout_ms=30_000) as pool:
        admin = BudgetAdmin(pool, METERS.keys(), lambda _: None)
        block = Threshold(Decimal(100), AlertLevel.CRITICAL, ThresholdAction.BLOCK)
        await admin.set_budget(
            SetBudget(
                tenant_id=TENANT,
                idempotency_key="limit",
                budget_id=BudgetId("all"),
                display_name="",
                scope=Scope(),
                limit=Money(CURRENCY, ACCOUNTS * CREDIT.nanos),
                basis=BudgetBasis.CHARGED,
                period=PeriodKind.MONTH,
                time_zone="UTC",
                thresholds=(block,),
            )
        )


async def _seed(dsn: str) -> None:
    engine = make_engine(dsn, batch_max=250)
    await engine.start()
    try:
        names = [account_id(number) for number in range(ACCOUNTS)]
        await asyncio.gather(
            *(
                engine.submit(
                    ops.CreateAccount(
                        tenant_id=TENANT, idempotency_key=name, account_id=name, currency_code=CURRENCY, settings={}
                    )
                )
                for name in names
            )
        )
        await asyncio.gather(
            *(
                engine.submit(ops.AddCredit(tenant_id=TENANT, idempotency_key=name, account_id=name, amount=CREDIT))
                for name in names
            )
        )
    finally:
        await engine.stop()
