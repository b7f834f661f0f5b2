-- What a batch locks and loads, in the order the statements run. docs/LOCKING.md says why the order matters.
--
-- Lookups are `unnest(keys) CROSS JOIN LATERAL (… LIMIT/OFFSET)`: the fence keeps the planner from turning
-- them into a scan of the whole table while it has no statistics yet. `{wanted_books}` and `{capture_amounts}` are the
-- texts of these blocks.

-- name: begin
BEGIN ISOLATION LEVEL READ COMMITTED

-- name: set_lock_timeout
SELECT set_config('lock_timeout', %(milliseconds)s, true)

-- name: lock_tenants
-- Their prices and budgets stay as they are until this transaction ends. The advisory lock comes first: its queue is
-- fair. Row locks that do not conflict overtake whoever waits, so that batches, always some under way, would keep
-- those out who want the row alone. Only these tenants' rows are visible from here on, already to the lateral
-- sub-select: it refers to what makes them visible, so that comes first.
SELECT locked.tenant_id, locked.price_epoch, locked.budget_epoch
FROM (
    SELECT
        tenant_id,
        set_config('imprest.tenants', %(visible)s, true) AS visible,
        pg_advisory_xact_lock_shared(hashtextextended(tenant_id, 0))
    FROM (SELECT tenant_id FROM unnest(%(tenants)s::text[]) AS named (tenant_id) ORDER BY tenant_id) AS named
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT tenant_id, price_epoch, budget_epoch
    FROM tenants
    WHERE tenant_id = wanted.tenant_id AND wanted.visible IS NOT NULL
    FOR KEY SHARE
) AS locked

-- name: wanted_books
SELECT tenant_id, account_id
FROM unnest(%(account_tenants)s::text[], %(accounts)s::text[]) AS named (tenant_id, account_id)
UNION
SELECT found.tenant_id, found.account_id
FROM unnest(%(reservation_tenants)s::text[], %(reservations)s::uuid[]) AS named (tenant_id, reservation_id)
CROSS JOIN LATERAL (
    SELECT tenant_id, account_id
    FROM reservations
    WHERE tenant_id = named.tenant_id AND reservation_id = named.reservation_id
    LIMIT 1
) AS found
UNION
SELECT found.tenant_id, found.account_id
FROM unnest(%(transaction_tenants)s::text[], %(transactions)s::uuid[]) AS named (tenant_id, transaction_id)
CROSS JOIN LATERAL (
    SELECT tenant_id, account_id
    FROM transactions
    WHERE tenant_id = named.tenant_id AND transaction_id = named.transaction_id
    LIMIT 1
) AS found

-- name: lock_books
-- A row that another transaction changed while this one waited comes back in its newest version. That is true of the
-- locked row only: whatever else this statement reads is as old as its snapshot.
SELECT
    locked.tenant_id, locked.account_id, locked.cash, locked.receivable, locked.provider_cost, locked.fee_cost,
    locked.refunds, locked.promotion_cost, locked.adjustments, locked.overrun_loss, locked.wallet, locked.revenue,
    locked.provider_payable, locked.fee_payable, locked.breakage, locked.clearing, locked.held, locked.open_count,
    locked.seq, locked.chain_hash, locked.last_time, locked.low_balance, locked.low_balance_time
FROM (SELECT tenant_id, account_id FROM ({wanted_books}) AS wanted ORDER BY tenant_id, account_id) AS wanted
CROSS JOIN LATERAL (
    SELECT
        tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
        overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count,
        seq, chain_hash, last_time, low_balance, low_balance_time
    FROM books
    WHERE tenant_id = wanted.tenant_id AND account_id = wanted.account_id
    FOR NO KEY UPDATE
) AS locked

-- name: load_accounts
-- The accounts, each with its due holds, and the clock they are due by: at least one row, with the clock alone when
-- there is no account.
SELECT
    found.tenant_id, found.account_id, found.customer_id, found.display_name, found.currency_code,
    found.parent_account_id, found.credit_limit, found.overrun_policy, found.max_overrun,
    found.max_concurrent_calls, found.low_balance_threshold, found.time_zone, found.labels, found.state,
    found.create_time, found.update_time,
    due.tenant_id, due.reservation_id, due.account_id, due.call_id, due.state, due.amount, due.captured,
    due.absorbed, due.used_so_far, due.on_expiry, due.labels, due.create_time, due.expire_time, due.end_time,
    due.ended_by, due.late, due.provisional_hold, due.provisional_charged, due.provisional_absorbed,
    due.provisional_transaction_id, due.price_epoch, due.used_cost, due.captured_cost, due.provisional_cost,
    due.estimate,
    clock.instant
FROM (SELECT clock_timestamp() AS instant) AS clock
LEFT JOIN LATERAL (
    SELECT
        named.tenant_id, named.account_id, named.customer_id, named.display_name, named.currency_code,
        named.parent_account_id, named.credit_limit, named.overrun_policy, named.max_overrun,
        named.max_concurrent_calls, named.low_balance_threshold, named.time_zone, named.labels, named.state,
        named.create_time, named.update_time
    FROM ({wanted_books}) AS wanted
    CROSS JOIN LATERAL (
        SELECT
            tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
            overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
            create_time, update_time
        FROM accounts
        WHERE tenant_id = wanted.tenant_id AND account_id = wanted.account_id
        LIMIT 1
    ) AS named
) AS found ON true
LEFT JOIN LATERAL (
    SELECT
        tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far,
        on_expiry, labels, create_time, expire_time, end_time, ended_by, late, provisional_hold,
        provisional_charged, provisional_absorbed, provisional_transaction_id, price_epoch, used_cost,
        captured_cost, provisional_cost, estimate
    FROM reservations
    WHERE
        tenant_id = found.tenant_id
        AND account_id = found.account_id
        AND state = 'ACTIVE'
        AND expire_time <= clock.instant
    ORDER BY expire_time, reservation_id
    LIMIT %(due_limit)s
) AS due ON true

-- name: load_operations
SELECT
    found.tenant_id, found.kind, found.idempotency_key, found.fingerprint, found.denial_reason, found.payload
FROM unnest(%(tenants)s::text[], %(kinds)s::text[], %(keys)s::text[]) AS wanted (tenant_id, kind, idempotency_key)
CROSS JOIN LATERAL (
    SELECT tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload
    FROM operations
    WHERE
        tenant_id = wanted.tenant_id
        AND kind = wanted.kind
        AND idempotency_key = wanted.idempotency_key
    LIMIT 1
) AS found

-- name: load_reservations
SELECT
    found.tenant_id, found.reservation_id, found.account_id, found.call_id, found.state, found.amount,
    found.captured, found.absorbed, found.used_so_far, found.on_expiry, found.labels, found.create_time,
    found.expire_time, found.end_time, found.ended_by, found.late, found.provisional_hold,
    found.provisional_charged, found.provisional_absorbed, found.provisional_transaction_id, found.price_epoch,
    found.used_cost, found.captured_cost, found.provisional_cost, found.extend_key, found.extend_fingerprint,
    found.extend_denial_reason, found.extend_payload, found.estimate
FROM unnest(%(tenants)s::text[], %(reservations)s::uuid[]) AS wanted (tenant_id, reservation_id)
CROSS JOIN LATERAL (
    SELECT
        tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far,
        on_expiry, labels, create_time, expire_time, end_time, ended_by, late, provisional_hold,
        provisional_charged, provisional_absorbed, provisional_transaction_id, price_epoch, used_cost,
        captured_cost, provisional_cost, extend_key, extend_fingerprint, extend_denial_reason, extend_payload,
        estimate
    FROM reservations
    WHERE tenant_id = wanted.tenant_id AND reservation_id = wanted.reservation_id
    LIMIT 1
) AS found

-- name: load_external_references
SELECT found.tenant_id, found.kind, found.external_reference
FROM
    unnest(%(tenants)s::text[], %(kinds)s::text[], %(external_references)s::text[])
    AS wanted (tenant_id, kind, external_reference)
CROSS JOIN LATERAL (
    SELECT tenant_id, kind, external_reference
    FROM transactions
    WHERE
        tenant_id = wanted.tenant_id
        AND kind = wanted.kind
        AND external_reference = wanted.external_reference
    LIMIT 1
) AS found

-- name: capture_amounts
-- Of a transaction `t`: what it charged the customer and cost us, what of it a late commit or a re-rate returned, what
-- refunds gave back, and by how much the cost was corrected.
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(amount) FILTER (WHERE credit = 'REVENUE' AND debit IN ('WALLET', 'RECEIVABLE')), 0) AS charged,
        coalesce(sum(amount) FILTER (WHERE debit = 'PROVIDER_COST' AND t.kind <> 'RERATE'), 0) AS cost
    FROM postings
    WHERE tenant_id = t.tenant_id AND account_id = t.account_id AND seq = t.seq
) AS posted
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(amount) FILTER (WHERE kind IN ('LATE_COMMIT', 'RERATE')), 0) AS returned,
        coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0) AS refunded,
        coalesce(sum(cost) FILTER (WHERE kind IN ('LATE_COMMIT', 'RERATE')), 0) AS cost_returned,
        coalesce(sum(cost) FILTER (WHERE kind = 'REFUND'), 0) AS cost_reversed
    FROM refunds
    WHERE tenant_id = t.tenant_id AND captured_transaction_id = t.transaction_id
) AS given_back
CROSS JOIN LATERAL (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(bool_or(stated), false) AS stated
    FROM cost_adjustments
    WHERE tenant_id = t.tenant_id AND captured_transaction_id = t.transaction_id
) AS corrected

-- name: load_captures
-- Transactions by id, and all captures by reservation, with what they charged the customer and cost us,
-- what of it a late commit returned, what refunds gave back, and by how much the cost was corrected.
-- What a re-rate costs belongs to the transaction that it corrects.
SELECT
    t.tenant_id, t.transaction_id, t.account_id, t.seq, t.reservation_id, t.call_id, t.kind, posted.charged,
    posted.cost, given_back.returned, given_back.refunded, given_back.cost_returned, given_back.cost_reversed,
    corrected.cost, corrected.stated, t.create_time, t.labels
FROM (
    SELECT
        found.tenant_id, found.transaction_id, found.account_id, found.seq, found.reservation_id, found.call_id,
        found.kind, found.create_time, found.labels
    FROM unnest(%(transaction_tenants)s::text[], %(transactions)s::uuid[]) AS wanted (tenant_id, transaction_id)
    CROSS JOIN LATERAL (
        SELECT tenant_id, transaction_id, account_id, seq, reservation_id, call_id, kind, create_time, labels
        FROM transactions
        WHERE tenant_id = wanted.tenant_id AND transaction_id = wanted.transaction_id
        LIMIT 1
    ) AS found
    UNION
    SELECT
        found.tenant_id, found.transaction_id, found.account_id, found.seq, found.reservation_id, found.call_id,
        found.kind, found.create_time, found.labels
    FROM unnest(%(costed_tenants)s::text[], %(costed)s::uuid[]) AS wanted (tenant_id, reservation_id)
    CROSS JOIN LATERAL (
        SELECT tenant_id, transaction_id, account_id, seq, reservation_id, call_id, kind, create_time, labels
        FROM transactions
        WHERE
            tenant_id = wanted.tenant_id
            AND reservation_id = wanted.reservation_id
            AND kind IN ('COMMIT', 'EXPIRE', 'LATE_COMMIT', 'RERATE')
        OFFSET 0
    ) AS found
) AS t
{capture_amounts}

-- name: load_captures_to_refund
-- Of each reservation its newest captures until what is left of them covers `amount` (NULL: all that have something
-- left), and what was refunded of all its captures. Captures that other operations of the batch may give
-- back do not count: an expiry's, a re-rate's, and those of the `transactions` that are refunded or re-rated by id.
SELECT
    c.tenant_id, c.transaction_id, c.account_id, c.seq, c.reservation_id, c.call_id, c.kind, c.charged, c.cost,
    c.returned, c.refunded, c.cost_returned, c.cost_reversed, c.cost_corrected, c.stated, c.create_time, c.labels,
    c.all_refunded
FROM
    unnest(%(tenants)s::text[], %(reservations)s::uuid[], %(amounts)s::numeric[])
    AS wanted (tenant_id, reservation_id, amount)
CROSS JOIN LATERAL (
    SELECT
        t.tenant_id, t.transaction_id, t.account_id, t.seq, t.reservation_id, t.call_id,
        t.kind, posted.charged, posted.cost, given_back.returned, given_back.refunded, given_back.cost_returned,
        given_back.cost_reversed, corrected.cost AS cost_corrected, corrected.stated, t.create_time, t.labels,
        posted.charged - given_back.returned - given_back.refunded AS refundable,
        sum(posted.charged - given_back.returned - given_back.refunded) OVER () AS all_refundable,
        sum(given_back.refunded) OVER () AS all_refunded,
        row_number() OVER newest_first AS place,
        coalesce(
            sum(posted.charged - given_back.returned - given_back.refunded)
            FILTER (
                WHERE t.kind NOT IN ('EXPIRE', 'RERATE') AND t.transaction_id <> ALL (%(transactions)s::uuid[])
            )
            OVER (newest_first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
            0
        ) AS newer
    FROM (
        SELECT tenant_id, transaction_id, account_id, seq, reservation_id, call_id, kind, create_time, labels
        FROM transactions
        WHERE
            tenant_id = wanted.tenant_id
            AND reservation_id = wanted.reservation_id
            AND kind IN ('COMMIT', 'EXPIRE', 'LATE_COMMIT', 'RERATE')
        OFFSET 0
    ) AS t
    {capture_amounts}
    WHERE posted.charged > 0
    WINDOW newest_first AS (ORDER BY t.seq DESC)
) AS c
WHERE
    c.place = 1
    OR (c.refundable > 0 AND c.newer < coalesce(wanted.amount, c.all_refundable))

-- name: load_usage_lines
-- Lines by their ids, of calls by their names or by their reservations.
SELECT
    found.tenant_id, found.account_id, found.call_id, found.line_id, found.meter, found.provider, found.model,
    found.quantity, found.destination, found.operation, found.labels, found.price_version_id, found.cost_version_id,
    found.match
FROM (
    SELECT tenant_id, account_id, call_id, line_id
    FROM
        unnest(%(tenants)s::text[], %(accounts)s::text[], %(calls)s::text[], %(lines)s::text[])
        AS named (tenant_id, account_id, call_id, line_id)
    UNION
    SELECT r.tenant_id, r.account_id, r.call_id, named.line_id
    FROM
        unnest(%(reservation_tenants)s::text[], %(reservations)s::uuid[], %(reservation_lines)s::text[])
        AS named (tenant_id, reservation_id, line_id)
    CROSS JOIN LATERAL (
        SELECT
            tenant_id, account_id,
            coalesce(nullif(call_id, ''), 'rsv_' || replace(reservation_id::text, '-', '')) AS call_id
        FROM reservations
        WHERE tenant_id = named.tenant_id AND reservation_id = named.reservation_id
        LIMIT 1
    ) AS r
) AS wanted
CROSS JOIN LATERAL (
    SELECT
        tenant_id, account_id, call_id, line_id, meter, provider, model, quantity, destination, operation, labels,
        price_version_id, cost_version_id, match
    FROM usage_lines
    WHERE
        tenant_id = wanted.tenant_id
        AND account_id = wanted.account_id
        AND call_id = wanted.call_id
        AND line_id = wanted.line_id
    LIMIT 1
) AS found

-- name: load_line_amounts
-- What the usage lines of transactions cost, by their last re-rate or as posted.
SELECT
    u.tenant_id, u.account_id, u.call_id, u.line_id, coalesce(last.number, 0), coalesce(last.price, u.price),
    coalesce(last.cost, u.cost), coalesce(last.exact_price, u.exact_price), coalesce(last.exact_cost, u.exact_cost),
    coalesce(last.price_version_id, u.price_version_id),
    CASE WHEN last.number IS NULL THEN u.cost_version_id ELSE last.cost_version_id END, coalesce(last.stated, false)
FROM
    unnest(%(tenants)s::text[], %(accounts)s::text[], %(seqs)s::bigint[]) AS wanted (tenant_id, account_id, seq)
CROSS JOIN LATERAL (
    SELECT
        tenant_id, account_id, call_id, line_id, price, cost, exact_price, exact_cost, price_version_id, cost_version_id
    FROM usage_lines
    WHERE tenant_id = wanted.tenant_id AND account_id = wanted.account_id AND seq = wanted.seq
    OFFSET 0
) AS u
LEFT JOIN LATERAL (
    SELECT number, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, stated
    FROM rerated_lines
    WHERE
        tenant_id = u.tenant_id
        AND account_id = u.account_id
        AND call_id = u.call_id
        AND line_id = u.line_id
    ORDER BY number DESC
    LIMIT 1
) AS last ON true

-- name: load_costed_lines
-- Usage lines by their ids, of transactions and of reservations, with what they cost and the transaction that charged
-- for them.
SELECT
    u.tenant_id, u.target, u.account_id, u.call_id, u.line_id, u.seq, u.meter, u.quantity,
    coalesce(last.match, u.match), coalesce(last.number, 0), coalesce(last.price, u.price),
    coalesce(last.cost, u.cost), coalesce(last.exact_price, u.exact_price), coalesce(last.exact_cost, u.exact_cost),
    coalesce(last.price_version_id, u.price_version_id),
    CASE WHEN last.number IS NULL THEN u.cost_version_id ELSE last.cost_version_id END, coalesce(last.stated, false)
FROM (
    SELECT
        found.tenant_id, named.transaction_id AS target, found.account_id, found.call_id, found.line_id, found.seq,
        found.meter, found.quantity, found.match, found.price, found.cost, found.exact_price, found.exact_cost,
        found.price_version_id, found.cost_version_id
    FROM
        unnest(%(transaction_tenants)s::text[], %(transactions)s::uuid[], %(transaction_lines)s::text[])
        AS named (tenant_id, transaction_id, line_id)
    CROSS JOIN LATERAL (
        SELECT tenant_id, account_id, seq
        FROM transactions
        WHERE tenant_id = named.tenant_id AND transaction_id = named.transaction_id
        LIMIT 1
    ) AS t
    CROSS JOIN LATERAL (
        SELECT
            tenant_id, account_id, call_id, line_id, seq, meter, quantity, match, price, cost, exact_price, exact_cost,
            price_version_id, cost_version_id
        FROM usage_lines
        WHERE tenant_id = t.tenant_id AND account_id = t.account_id AND seq = t.seq AND line_id = named.line_id
        OFFSET 0
    ) AS found
    UNION ALL
    SELECT
        found.tenant_id, named.reservation_id, found.account_id, found.call_id, found.line_id, found.seq, found.meter,
        found.quantity, found.match, found.price, found.cost, found.exact_price, found.exact_cost,
        found.price_version_id, found.cost_version_id
    FROM
        unnest(%(reservation_tenants)s::text[], %(reservations)s::uuid[], %(reservation_lines)s::text[])
        AS named (tenant_id, reservation_id, line_id)
    CROSS JOIN LATERAL (
        SELECT
            tenant_id, account_id, reservation_id,
            coalesce(nullif(call_id, ''), 'rsv_' || replace(reservation_id::text, '-', '')) AS call_id
        FROM reservations
        WHERE tenant_id = named.tenant_id AND reservation_id = named.reservation_id
        LIMIT 1
    ) AS r
    CROSS JOIN LATERAL (
        SELECT
            tenant_id, account_id, call_id, line_id, seq, meter, quantity, match, price, cost, exact_price, exact_cost,
            price_version_id, cost_version_id
        FROM usage_lines
        WHERE
            tenant_id = r.tenant_id
            AND account_id = r.account_id
            AND call_id = r.call_id
            AND line_id = named.line_id
            AND reservation_id = r.reservation_id
        OFFSET 0
    ) AS found
) AS u
LEFT JOIN LATERAL (
    SELECT number, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, match, stated
    FROM rerated_lines
    WHERE
        tenant_id = u.tenant_id
        AND account_id = u.account_id
        AND call_id = u.call_id
        AND line_id = u.line_id
    ORDER BY number DESC
    LIMIT 1
) AS last ON true

-- name: load_rerates
-- The transactions that have re-rated others before, oldest first.
SELECT wanted.tenant_id, wanted.transaction_id, found.transaction_id
FROM
    unnest(%(tenants)s::text[], %(accounts)s::text[], %(seqs)s::bigint[], %(transactions)s::uuid[])
    AS wanted (tenant_id, account_id, seq, transaction_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT seq
    FROM rerated_lines
    WHERE tenant_id = wanted.tenant_id AND account_id = wanted.account_id AND captured_seq = wanted.seq
) AS again
CROSS JOIN LATERAL (
    SELECT transaction_id
    FROM transactions
    WHERE
        tenant_id = wanted.tenant_id
        AND account_id = wanted.account_id
        AND seq = again.seq
        AND kind = 'RERATE'
    LIMIT 1
) AS found
ORDER BY again.seq

-- name: load_usage_counters
-- What accounts have counted in the months that an instant (NULL: now) may fall into, in whatever time zone. Their first
-- days are worked out first: beside a column of the table, row-level security would keep them out of the index.
SELECT
    found.tenant_id, found.account_id, found.month, found.side, found.meter, found.provider, found.model,
    found.destination_prefix, found.quantity
FROM (
    SELECT
        tenant_id, account_id,
        date_trunc('month', coalesce(instant, (SELECT clock_timestamp())) - interval '1 day')::date AS earliest,
        date_trunc('month', coalesce(instant, (SELECT clock_timestamp())) + interval '1 day')::date AS latest
    FROM (
        SELECT tenant_id, account_id, instant
        FROM
            unnest(%(tenants)s::text[], %(accounts)s::text[], %(instants)s::timestamptz[])
            AS named (tenant_id, account_id, instant)
        UNION
        SELECT r.tenant_id, r.account_id, named.instant
        FROM
            unnest(%(reservation_tenants)s::text[], %(reservations)s::uuid[], %(reservation_instants)s::timestamptz[])
            AS named (tenant_id, reservation_id, instant)
        CROSS JOIN LATERAL (
            SELECT tenant_id, account_id
            FROM reservations
            WHERE tenant_id = named.tenant_id AND reservation_id = named.reservation_id
            LIMIT 1
        ) AS r
    ) AS used
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
    FROM usage_counters
    WHERE
        tenant_id = wanted.tenant_id
        AND account_id = wanted.account_id
        AND month >= wanted.earliest
        AND month <= wanted.latest
    OFFSET 0
) AS found

-- name: load_usage_counts
-- What the captures of reservations have added to the counters.
SELECT found.tenant_id, found.reservation_id, found.account_id, found.counts
FROM unnest(%(tenants)s::text[], %(reservations)s::uuid[]) AS named (tenant_id, reservation_id)
CROSS JOIN LATERAL (
    SELECT
        tenant_id, account_id, reservation_id,
        coalesce(nullif(call_id, ''), 'rsv_' || replace(reservation_id::text, '-', '')) AS call_id
    FROM reservations
    WHERE tenant_id = named.tenant_id AND reservation_id = named.reservation_id
    LIMIT 1
) AS r
CROSS JOIN LATERAL (
    SELECT tenant_id, reservation_id, account_id, counts
    FROM usage_lines
    WHERE
        tenant_id = r.tenant_id
        AND account_id = r.account_id
        AND call_id = r.call_id
        AND reservation_id = r.reservation_id
        AND counts IS NOT NULL
    OFFSET 0
) AS found
