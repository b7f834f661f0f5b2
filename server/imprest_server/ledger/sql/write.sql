-- What a batch writes, in the order the statements run: a statement for all rows of a table.

-- name: insert_accounts
INSERT INTO accounts (
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
    overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
    create_time, update_time
)
SELECT
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
    overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels::jsonb, state,
    create_time, update_time
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::text[],
    %s::numeric[], %s::int[], %s::numeric[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::timestamptz[]
) AS new (
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
    overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
    create_time, update_time
)

-- name: update_accounts
UPDATE accounts AS a
SET
    customer_id = new.customer_id,
    display_name = new.display_name,
    credit_limit = new.credit_limit,
    overrun_policy = new.overrun_policy,
    max_overrun = new.max_overrun,
    max_concurrent_calls = new.max_concurrent_calls,
    low_balance_threshold = new.low_balance_threshold,
    time_zone = new.time_zone,
    labels = new.labels::jsonb,
    state = new.state,
    update_time = new.update_time
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::text[],
    %s::numeric[], %s::int[], %s::numeric[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::timestamptz[]
) AS new (
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
    overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
    create_time, update_time
)
WHERE a.tenant_id = new.tenant_id AND a.account_id = new.account_id

-- name: insert_books
INSERT INTO books (
    tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
    overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq,
    chain_hash, last_time, low_balance, low_balance_time
)
SELECT
    tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
    overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq,
    chain_hash, last_time, low_balance, low_balance_time
FROM unnest(
    %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::int[], %s::bigint[], %s::bytea[], %s::timestamptz[], %s::bool[],
    %s::timestamptz[]
) AS new (
    tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
    overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq,
    chain_hash, last_time, low_balance, low_balance_time
)

-- name: update_books
UPDATE books AS b
SET
    cash = new.cash,
    receivable = new.receivable,
    provider_cost = new.provider_cost,
    fee_cost = new.fee_cost,
    refunds = new.refunds,
    promotion_cost = new.promotion_cost,
    adjustments = new.adjustments,
    overrun_loss = new.overrun_loss,
    wallet = new.wallet,
    revenue = new.revenue,
    provider_payable = new.provider_payable,
    fee_payable = new.fee_payable,
    breakage = new.breakage,
    clearing = new.clearing,
    held = new.held,
    open_count = new.open_count,
    seq = new.seq,
    chain_hash = new.chain_hash,
    last_time = new.last_time,
    low_balance = new.low_balance,
    low_balance_time = new.low_balance_time
FROM unnest(
    %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::int[], %s::bigint[], %s::bytea[], %s::timestamptz[], %s::bool[],
    %s::timestamptz[]
) AS new (
    tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
    overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq,
    chain_hash, last_time, low_balance, low_balance_time
)
WHERE b.tenant_id = new.tenant_id AND b.account_id = new.account_id

-- name: insert_reservations
INSERT INTO reservations (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry,
    labels, create_time, expire_time, end_time, ended_by, late, provisional_hold, provisional_charged,
    provisional_absorbed, provisional_transaction_id, price_epoch, used_cost, captured_cost, provisional_cost, estimate
)
SELECT
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry,
    labels::jsonb, create_time, expire_time, end_time, ended_by, late, provisional_hold, provisional_charged,
    provisional_absorbed, provisional_transaction_id, price_epoch, used_cost, captured_cost, provisional_cost,
    estimate::jsonb
FROM unnest(
    %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[],
    %s::bool[], %s::numeric[], %s::numeric[], %s::numeric[], %s::uuid[], %s::bigint[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::text[]
) AS new (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry,
    labels, create_time, expire_time, end_time, ended_by, late, provisional_hold, provisional_charged,
    provisional_absorbed, provisional_transaction_id, price_epoch, used_cost, captured_cost, provisional_cost, estimate
)

-- name: update_reservations
UPDATE reservations AS r
SET
    state = new.state,
    amount = new.amount,
    captured = new.captured,
    absorbed = new.absorbed,
    used_so_far = new.used_so_far,
    expire_time = new.expire_time,
    end_time = new.end_time,
    ended_by = new.ended_by,
    late = new.late,
    provisional_hold = new.provisional_hold,
    provisional_charged = new.provisional_charged,
    provisional_absorbed = new.provisional_absorbed,
    provisional_transaction_id = new.provisional_transaction_id,
    used_cost = new.used_cost,
    captured_cost = new.captured_cost,
    provisional_cost = new.provisional_cost,
    estimate = new.estimate::jsonb
FROM unnest(
    %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[],
    %s::bool[], %s::numeric[], %s::numeric[], %s::numeric[], %s::uuid[], %s::bigint[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::text[]
) AS new (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry,
    labels, create_time, expire_time, end_time, ended_by, late, provisional_hold, provisional_charged,
    provisional_absorbed, provisional_transaction_id, price_epoch, used_cost, captured_cost, provisional_cost, estimate
)
WHERE r.tenant_id = new.tenant_id AND r.reservation_id = new.reservation_id

-- name: update_extends
UPDATE reservations AS r
SET
    extend_key = new.extend_key,
    extend_fingerprint = new.extend_fingerprint,
    extend_denial_reason = new.extend_denial_reason,
    extend_payload = new.extend_payload
FROM unnest(
    %s::text[], %s::uuid[], %s::text[], %s::bytea[], %s::text[], %s::text[]
) AS new (
    tenant_id, reservation_id, extend_key, extend_fingerprint, extend_denial_reason, extend_payload
)
WHERE r.tenant_id = new.tenant_id AND r.reservation_id = new.reservation_id

-- name: insert_transactions
INSERT INTO transactions (
    tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id,
    reason, external_reference, labels, effective_time, create_time, chain_hash
)
SELECT
    tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id,
    reason, external_reference, labels::jsonb, effective_time, create_time, chain_hash
FROM unnest(
    %s::text[], %s::uuid[], %s::text[], %s::bigint[], %s::text[], %s::numeric[], %s::numeric[], %s::uuid[],
    %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bytea[]
) AS new (
    tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id,
    reason, external_reference, labels, effective_time, create_time, chain_hash
)

-- name: insert_postings
INSERT INTO postings (tenant_id, account_id, seq, line, debit, credit, amount)
SELECT tenant_id, account_id, seq, line, debit, credit, amount
FROM unnest(
    %s::text[], %s::text[], %s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::numeric[]
) AS new (tenant_id, account_id, seq, line, debit, credit, amount)

-- name: insert_refunds
INSERT INTO refunds (tenant_id, captured_transaction_id, refund_transaction_id, account_id, kind, amount, cost)
SELECT tenant_id, captured_transaction_id, refund_transaction_id, account_id, kind, amount, cost
FROM unnest(
    %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::numeric[], %s::numeric[]
) AS new (tenant_id, captured_transaction_id, refund_transaction_id, account_id, kind, amount, cost)

-- name: insert_cost_adjustments
INSERT INTO cost_adjustments (
    tenant_id, captured_transaction_id, adjusting_transaction_id, account_id, cost, stated
)
SELECT tenant_id, captured_transaction_id, adjusting_transaction_id, account_id, cost, stated
FROM unnest(%s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::numeric[], %s::bool[])
    AS new (tenant_id, captured_transaction_id, adjusting_transaction_id, account_id, cost, stated)

-- name: insert_usage_lines
INSERT INTO usage_lines (
    tenant_id, account_id, call_id, line_id, seq, reservation_id, meter, provider, model, quantity, destination,
    operation, labels, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, match, counts,
    start_time, end_time, create_time
)
SELECT
    tenant_id, account_id, call_id, line_id, seq, reservation_id, meter, provider, model, quantity, destination,
    operation, labels::jsonb, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, match,
    counts::jsonb, start_time, end_time, create_time
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::text[],
    %s::numeric[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[]
) AS new (
    tenant_id, account_id, call_id, line_id, seq, reservation_id, meter, provider, model, quantity, destination,
    operation, labels, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, match, counts,
    start_time, end_time, create_time
)

-- name: insert_rerated_lines
INSERT INTO rerated_lines (
    tenant_id, account_id, call_id, line_id, number, captured_seq, seq, price_before, cost_before, price, cost,
    exact_price, exact_cost, price_version_id, cost_version_id, match, create_time, stated
)
SELECT
    tenant_id, account_id, call_id, line_id, number, captured_seq, seq, price_before, cost_before, price, cost,
    exact_price, exact_cost, price_version_id, cost_version_id, match, create_time, stated
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::uuid[], %s::uuid[], %s::text[],
    %s::timestamptz[], %s::bool[]
) AS new (
    tenant_id, account_id, call_id, line_id, number, captured_seq, seq, price_before, cost_before, price, cost,
    exact_price, exact_cost, price_version_id, cost_version_id, match, create_time, stated
)

-- name: upsert_usage_counters
INSERT INTO usage_counters (
    tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
)
SELECT tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
FROM unnest(
    %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[]
) AS new (tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity)
ON CONFLICT ON CONSTRAINT pk_usage_counters DO UPDATE SET quantity = excluded.quantity

-- name: insert_operations
INSERT INTO operations (tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload, create_time)
SELECT tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload, create_time
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::timestamptz[]
) AS new (tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload, create_time)

-- name: commit
COMMIT
