"""Plausible rows in every table, written straight into a migrated database by the owner."""

import psycopg

_SEED = """
INSERT INTO tenants (tenant_id, create_time) VALUES (%(tenant)s, now()) ON CONFLICT DO NOTHING;

INSERT INTO accounts (
    tenant_id, account_id, customer_id, display_name, currency_code, credit_limit, overrun_policy, time_zone, labels,
    state, create_time, update_time
)
SELECT %(tenant)s, 'acc_' || a, 'customer ' || a, '', 'USD', 0, 'COLLECT', 'UTC', '{}', 'ACTIVE', now(), now()
FROM generate_series(1, %(accounts)s) AS a;

INSERT INTO books (
    tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
    overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq, chain_hash
)
SELECT
    %(tenant)s, 'acc_' || a, 1000, 0, 0, 0, 0, 0, 0, 0, 1000, 0, 0, 0, 0, 0, 0, 0, %(each)s, sha256('')
FROM generate_series(1, %(accounts)s) AS a;

INSERT INTO reservations (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry, labels,
    create_time, expire_time, ended_by, late
)
SELECT
    %(tenant)s, md5(%(tenant)s || 'rsv' || a || '/' || n)::uuid, 'acc_' || a, 'call ' || n, s.state, 1, 0, 0, 0,
    'CAPTURE_USED', '{}', now(), now() + n * interval '1 minute', s.ended_by, false
FROM
    generate_series(1, %(accounts)s) AS a,
    generate_series(1, %(each)s) AS n,
    LATERAL (SELECT 'ACTIVE' AS state, NULL AS ended_by WHERE n %% 2 = 1 UNION ALL
             SELECT 'COMMITTED', 'COMMIT' WHERE n %% 2 = 0) AS s;

INSERT INTO transactions (
    tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id, reason,
    external_reference, labels, effective_time, create_time, chain_hash
)
SELECT
    %(tenant)s, md5(%(tenant)s || 'txn' || a || '/' || n)::uuid, 'acc_' || a, n, 'ADD_CREDIT', 1000, 0,
    CASE WHEN n %% 2 = 0 THEN md5(%(tenant)s || 'rsv' || a || '/' || n)::uuid END, '', '', 'pay ' || a || '/' || n,
    '{}', now(), now(), sha256('')
FROM generate_series(1, %(accounts)s) AS a, generate_series(1, %(each)s) AS n;

INSERT INTO postings (tenant_id, account_id, seq, line, debit, credit, amount)
SELECT tenant_id, account_id, seq, 1, 'CASH', 'WALLET', 1 FROM transactions WHERE tenant_id = %(tenant)s;

INSERT INTO refunds (tenant_id, captured_transaction_id, refund_transaction_id, account_id, kind, amount, cost)
SELECT tenant_id, transaction_id, transaction_id, account_id, 'REFUND', 1, 0
FROM transactions WHERE tenant_id = %(tenant)s;

INSERT INTO cost_adjustments (tenant_id, captured_transaction_id, adjusting_transaction_id, account_id, cost)
SELECT tenant_id, transaction_id, transaction_id, account_id, 1
FROM transactions WHERE tenant_id = %(tenant)s;

INSERT INTO usage_lines (
    tenant_id, account_id, call_id, line_id, seq, meter, provider, model, quantity, destination, operation, labels,
    price, cost, exact_price, exact_cost, price_version_id, match, start_time, create_time
)
SELECT
    tenant_id, account_id, 'call ' || seq, 'l1', seq, 'llm.input_tokens', '', '', 1, '', '', '{}', 1, 1, 1, 1,
    md5(tenant_id || 'ver1/1')::uuid, '', now(), now()
FROM transactions WHERE tenant_id = %(tenant)s;

INSERT INTO rerated_lines (
    tenant_id, account_id, call_id, line_id, number, captured_seq, seq, price_before, cost_before, price, cost,
    exact_price, exact_cost, price_version_id, match, create_time
)
SELECT
    tenant_id, account_id, call_id, line_id, 1, seq, seq, 1, 1, 1, 1, 1, 1, price_version_id, '', now()
FROM usage_lines WHERE tenant_id = %(tenant)s;

INSERT INTO usage_counters (
    tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
)
SELECT tenant_id, account_id, '2026-01-01', 'SALE', 'llm.input_tokens', '', '', '', 1
FROM accounts WHERE tenant_id = %(tenant)s;

INSERT INTO operations (tenant_id, kind, idempotency_key, fingerprint, payload, create_time)
SELECT tenant_id, 'RESERVE', 'key ' || account_id || '/' || seq, sha256(''), '{}', now()
FROM transactions WHERE tenant_id = %(tenant)s;

INSERT INTO price_books (tenant_id, price_book_id, side, currency_code, display_name, account_id, epoch, create_time)
SELECT %(tenant)s, 'book ' || a, 'SALE', 'USD', '', 'acc_' || a, a, now() FROM generate_series(1, %(accounts)s) AS a;

INSERT INTO price_versions (tenant_id, version_id, price_book_id, number, epoch, effective_time, create_time)
SELECT
    %(tenant)s, md5(%(tenant)s || 'ver' || a || '/' || n)::uuid, 'book ' || a, n, (a - 1) * %(each)s + n, now(), now()
FROM generate_series(1, %(accounts)s) AS a, generate_series(1, %(each)s) AS n;

INSERT INTO prices (
    tenant_id, version_id, meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity, tiers,
    minimum_quantity, connect_fee, free_quantity, source
)
SELECT
    tenant_id, version_id, 'llm.input_tokens', '', 'model ' || m, '', 'PER_UNIT', 1, 1, '[]', 0, 0, 0, ''
FROM price_versions, generate_series(1, 2) AS m
WHERE tenant_id = %(tenant)s;

INSERT INTO price_assignments (
    tenant_id, epoch, side, currency_code, account_id, price_book_id, effective_time, create_time
)
SELECT tenant_id, epoch, 'SALE', 'USD', NULL, price_book_id, now(), now()
FROM price_versions WHERE tenant_id = %(tenant)s;

INSERT INTO exchange_rates (tenant_id, epoch, price_book_id, currency_code, rate, effective_time, create_time)
SELECT tenant_id, epoch, price_book_id, 'EUR', 1, now(), now() FROM price_versions WHERE tenant_id = %(tenant)s;

INSERT INTO budgets (
    tenant_id, budget_id, revision, deleted, display_name, account_id, meter_prefix, currency_code, basis, period,
    time_zone, limit_amount, thresholds, epoch, create_time
)
SELECT
    %(tenant)s, 'budget ' || a, n, false, '', 'acc_' || a, '', 'USD', 'CHARGED', 'MONTH', 'UTC', 1, '[]',
    (a - 1) * %(each)s + n, now()
FROM generate_series(1, %(accounts)s) AS a, generate_series(1, %(each)s) AS n;

INSERT INTO budget_counters (
    tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped
)
SELECT tenant_id, budget_id, 1, now(), now() + interval '1 day', 0, 0, 0, false
FROM budgets WHERE tenant_id = %(tenant)s AND revision = 1;

INSERT INTO alerts (
    tenant_id, sequence, alert_id, kind, level, create_time, currency_code, call_ids, budget_id, revision, percent,
    action, action_label, period_start, period_end
)
SELECT
    tenant_id, epoch, gen_random_uuid(), 'BUDGET', 2, now(), 'USD', '{}', budget_id, 1, revision, 'NOTIFY', '', now(),
    now() + interval '1 day'
FROM budgets WHERE tenant_id = %(tenant)s;

INSERT INTO alert_heads (tenant_id, last_sequence, pruned_sequence)
SELECT %(tenant)s, %(accounts)s * %(each)s, 0;

INSERT INTO alert_acknowledgements (tenant_id, sequence, acknowledged_by, create_time)
SELECT tenant_id, sequence, '', now() FROM alerts WHERE tenant_id = %(tenant)s;

INSERT INTO alert_channels (
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, disabled, secret, cursor_sequence,
    create_time, update_time
)
SELECT %(tenant)s, 'channel', 'WEBHOOK', '', 'https://hooks.example', '{}', 1, '{}', false, '', 0, now(), now();

INSERT INTO alert_deliveries (
    tenant_id, channel_id, sequence, state, attempts, last_attempt, create_time, next_time, detail
)
SELECT tenant_id, 'channel', sequence, 'PENDING', 0, 12, now(), now(), ''
FROM alerts WHERE tenant_id = %(tenant)s;
INSERT INTO plans (tenant_id, plan_id, display_name, currency_code, price_book_id, lines, create_time)
SELECT tenant_id, 'plan ' || account_id, '', 'USD', price_book_id, '[]', now()
FROM price_books WHERE tenant_id = %(tenant)s;

INSERT INTO subscriptions (
    tenant_id, subscription_id, account_id, plan_id, price_book_id, lines, start_time, epoch, create_time,
    next_charge_time
)
SELECT
    b.tenant_id, 'sub ' || b.account_id || '/' || n, b.account_id, 'plan ' || b.account_id, b.price_book_id, '[]',
    now(), (b.epoch - 1) * %(each)s + n, now(), now()
FROM price_books AS b, generate_series(1, %(each)s) AS n
WHERE b.tenant_id = %(tenant)s;

INSERT INTO subscription_ends (tenant_id, epoch, subscription_id, end_time, create_time)
SELECT tenant_id, epoch, subscription_id, now(), now() FROM subscriptions WHERE tenant_id = %(tenant)s;
"""


def seed(connection: psycopg.Connection, tenant: str, *, accounts: int = 1, each: int = 2) -> None:
    """Add a tenant with accounts `acc_1` and on, each with so many reservations, transactions, operations,
    versions of a price book, revisions of a budget and alerts."""
    cursor = psycopg.ClientCursor(connection)
    cursor.execute(_SEED, {"tenant": tenant, "accounts": accounts, "each": each})
