-- The ledger's reads. Columns of accounts, reservations and transactions stand in the order of ledger/rows.py.
--
-- Each answer comes from one statement, so from one snapshot. `clock` is read while the statement runs, after its
-- snapshot was taken, and once only (MATERIALIZED); the statement tells whether a hold that its answer depends on is
-- due at that instant. `horizon`, where it is set, is an earlier instant to look from. In conditions the clock stands as `(SELECT clock.now FROM clock)`: a value that is known before
-- the rows are read and can so bound an index scan.
--
-- `{filters}` is replaced by the blocks of the filters that are set, named <list>_of_<filter>.

-- name: get_account
SELECT
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit, overrun_policy,
    max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state, create_time, update_time
FROM accounts
WHERE tenant_id = %(tenant)s AND account_id = %(account)s

-- name: list_accounts
SELECT
    tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit, overrun_policy,
    max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state, create_time, update_time
FROM accounts
WHERE tenant_id = %(tenant)s {filters}
ORDER BY account_id
LIMIT %(limit)s

-- name: accounts_of_customer
AND customer_id = %(customer)s

-- name: accounts_of_parent
AND parent_account_id = %(parent)s

-- name: accounts_of_state
AND state = %(state)s

-- name: accounts_of_page
AND account_id > %(after)s

-- name: get_balance
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    clock.now,
    EXISTS (
        SELECT 1
        FROM reservations AS r
        WHERE
            r.tenant_id = a.tenant_id
            AND r.account_id = a.account_id
            AND r.state = 'ACTIVE'
            AND r.expire_time <= (SELECT clock.now FROM clock)
    ),
    a.currency_code, a.credit_limit, b.wallet, b.held, b.receivable
FROM accounts AS a
INNER JOIN books AS b ON b.tenant_id = a.tenant_id AND b.account_id = a.account_id
CROSS JOIN clock
WHERE a.tenant_id = %(tenant)s AND a.account_id = %(account)s

-- name: lock_book_as_of
-- Waits for the writer that may still add a transaction at or before `as_of`, and keeps others out: a writer reads its
-- clock under the lock. A book whose last transaction is later gets no such transaction any more, and no lock.
SELECT 1
FROM books
WHERE tenant_id = %(tenant)s AND account_id = %(account)s AND (last_time IS NULL OR last_time <= %(as_of)s)
FOR SHARE

-- name: get_balance_as_of
-- The clock comes back also when there is no such account, with NULLs.
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    clock.now,
    EXISTS (
        SELECT 1
        FROM reservations AS r
        WHERE
            r.tenant_id = %(tenant)s
            AND r.account_id = %(account)s
            AND r.state = 'ACTIVE'
            AND r.expire_time <= (SELECT clock.now FROM clock)
    ),
    a.currency_code, coalesce(past.wallet_after, 0), coalesce(past.receivable_after, 0)
FROM clock
LEFT JOIN accounts AS a ON a.tenant_id = %(tenant)s AND a.account_id = %(account)s
LEFT JOIN LATERAL (
    SELECT t.wallet_after, t.receivable_after
    FROM transactions AS t
    WHERE t.tenant_id = %(tenant)s AND t.account_id = %(account)s AND t.create_time <= %(as_of)s
    ORDER BY t.create_time DESC, t.seq DESC
    LIMIT 1
) AS past ON true

-- name: get_reservation
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    (SELECT clock.now FROM clock), r.state = 'ACTIVE' AND r.expire_time <= (SELECT clock.now FROM clock),
    a.currency_code,
    r.tenant_id, r.reservation_id, r.account_id, r.call_id, r.state, r.amount, r.captured, r.absorbed, r.used_so_far,
    r.on_expiry, r.labels, r.create_time, r.expire_time, r.end_time, r.ended_by, r.late, r.provisional_hold,
    r.provisional_charged, r.provisional_absorbed, r.provisional_transaction_id, r.price_epoch, r.used_cost,
    r.captured_cost, r.provisional_cost
FROM reservations AS r
INNER JOIN accounts AS a ON a.tenant_id = r.tenant_id AND a.account_id = r.account_id
WHERE r.tenant_id = %(tenant)s AND r.reservation_id = %(reservation)s

-- name: list_reservations
-- A due hold that is still ACTIVE is found where its EXPIRED self belongs. Only the holds on the page matter: what is
-- shown of one does not depend on the others.
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    (SELECT clock.now FROM clock), r.state = 'ACTIVE' AND r.expire_time <= (SELECT clock.now FROM clock),
    (SELECT a.currency_code FROM accounts AS a WHERE a.tenant_id = r.tenant_id AND a.account_id = r.account_id),
    r.tenant_id, r.reservation_id, r.account_id, r.call_id, r.state, r.amount, r.captured, r.absorbed, r.used_so_far,
    r.on_expiry, r.labels, r.create_time, r.expire_time, r.end_time, r.ended_by, r.late, r.provisional_hold,
    r.provisional_charged, r.provisional_absorbed, r.provisional_transaction_id, r.price_epoch, r.used_cost,
    r.captured_cost, r.provisional_cost
FROM (
    SELECT
        r.tenant_id, r.reservation_id, r.account_id, r.call_id, r.state, r.amount, r.captured, r.absorbed,
        r.used_so_far, r.on_expiry, r.labels, r.create_time, r.expire_time, r.end_time, r.ended_by, r.late,
        r.provisional_hold, r.provisional_charged, r.provisional_absorbed, r.provisional_transaction_id, r.price_epoch,
        r.used_cost, r.captured_cost, r.provisional_cost
    FROM reservations AS r
    WHERE r.tenant_id = %(tenant)s {filters}
    ORDER BY r.reservation_id DESC
    LIMIT %(limit)s
) AS r
ORDER BY r.reservation_id DESC

-- name: reservations_of_account
AND r.account_id = %(account)s

-- name: reservations_of_call
AND r.call_id = %(call)s

-- name: reservations_of_state
AND r.state = %(state)s

-- name: reservations_of_state_active
AND r.state = 'ACTIVE' AND r.expire_time > (SELECT clock.now FROM clock)

-- name: reservations_of_state_expired
AND (r.state = 'EXPIRED' OR (r.state = 'ACTIVE' AND r.expire_time <= (SELECT clock.now FROM clock)))

-- name: reservations_of_page
AND r.reservation_id < %(after)s

-- name: list_transactions
-- create_time never falls along seq, so a span of time is a span of seq. The account comes back also without any
-- transaction, with NULLs.
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    (SELECT clock.now FROM clock),
    EXISTS (
        SELECT 1
        FROM reservations AS r
        WHERE
            r.tenant_id = a.tenant_id
            AND r.account_id = a.account_id
            AND r.state = 'ACTIVE'
            AND r.expire_time <= (SELECT clock.now FROM clock)
    ),
    a.currency_code,
    t.tenant_id, t.transaction_id, t.account_id, t.seq, t.kind, t.wallet_after, t.receivable_after, t.reservation_id,
    t.call_id, t.reason, t.external_reference, t.labels, t.effective_time, t.create_time, t.chain_hash,
    p.debits, p.credits, p.amounts
FROM accounts AS a
LEFT JOIN LATERAL (
    SELECT
        t.tenant_id, t.transaction_id, t.account_id, t.seq, t.kind, t.wallet_after, t.receivable_after,
        t.reservation_id, t.call_id, t.reason, t.external_reference, t.labels, t.effective_time, t.create_time,
        t.chain_hash
    FROM transactions AS t
    WHERE t.tenant_id = a.tenant_id AND t.account_id = a.account_id AND t.seq > %(after)s {filters}
    ORDER BY t.seq
    LIMIT %(limit)s
) AS t ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(p.debit ORDER BY p.line) AS debits,
        array_agg(p.credit ORDER BY p.line) AS credits,
        array_agg(p.amount ORDER BY p.line) AS amounts
    FROM postings AS p
    WHERE p.tenant_id = t.tenant_id AND p.account_id = t.account_id AND p.seq = t.seq
) AS p ON true
WHERE a.tenant_id = %(tenant)s AND a.account_id = %(account)s
ORDER BY t.seq

-- name: transactions_of_start
AND t.seq > coalesce(
    (
        SELECT before.seq
        FROM transactions AS before
        WHERE
            before.tenant_id = %(tenant)s AND before.account_id = %(account)s AND before.create_time < %(start)s
        ORDER BY before.create_time DESC, before.seq DESC
        LIMIT 1
    ),
    0
)

-- name: transactions_of_end
AND t.seq <= coalesce(
    (
        SELECT before.seq
        FROM transactions AS before
        WHERE before.tenant_id = %(tenant)s AND before.account_id = %(account)s AND before.create_time < %(end)s
        ORDER BY before.create_time DESC, before.seq DESC
        LIMIT 1
    ),
    0
)

-- name: transactions_of_kinds
AND t.kind = ANY(%(kinds)s)

-- name: transactions_of_reservation
AND t.reservation_id = %(reservation)s

-- name: get_transaction
SELECT
    a.currency_code,
    t.tenant_id, t.transaction_id, t.account_id, t.seq, t.kind, t.wallet_after, t.receivable_after, t.reservation_id,
    t.call_id, t.reason, t.external_reference, t.labels, t.effective_time, t.create_time, t.chain_hash,
    p.debits, p.credits, p.amounts,
    r.captured, r.refunds, r.kinds, r.amounts, r.costs
FROM transactions AS t
INNER JOIN accounts AS a ON a.tenant_id = t.tenant_id AND a.account_id = t.account_id
LEFT JOIN LATERAL (
    SELECT
        array_agg(p.debit ORDER BY p.line) AS debits,
        array_agg(p.credit ORDER BY p.line) AS credits,
        array_agg(p.amount ORDER BY p.line) AS amounts
    FROM postings AS p
    WHERE p.tenant_id = t.tenant_id AND p.account_id = t.account_id AND p.seq = t.seq
) AS p ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(part.captured_transaction_id ORDER BY part.place) AS captured,
        array_agg(part.refund_transaction_id ORDER BY part.place) AS refunds,
        array_agg(part.kind ORDER BY part.place) AS kinds,
        array_agg(part.amount ORDER BY part.place) AS amounts,
        array_agg(part.cost ORDER BY part.place) AS costs
    FROM (
        (
            SELECT
                f.refund_transaction_id AS place,
                f.captured_transaction_id, f.refund_transaction_id, f.kind, f.amount, f.cost
            FROM refunds AS f
            WHERE f.tenant_id = %(tenant)s AND f.captured_transaction_id = %(transaction)s
            ORDER BY f.refund_transaction_id
            LIMIT %(refunds_limit)s
        )
        UNION ALL
        (
            SELECT
                f.captured_transaction_id AS place,
                f.captured_transaction_id, f.refund_transaction_id, f.kind, f.amount, f.cost
            FROM refunds AS f
            WHERE f.tenant_id = %(tenant)s AND f.refund_transaction_id = %(transaction)s
            ORDER BY f.captured_transaction_id
            LIMIT %(refunds_limit)s
        )
    ) AS part
) AS r ON true
WHERE t.tenant_id = %(tenant)s AND t.transaction_id = %(transaction)s

-- name: usage_of_transaction
-- The lines that a transaction charged, in their order: ids that the server makes end in their numbers.
SELECT
    tenant_id, account_id, call_id, line_id, meter, provider, model, quantity, destination, operation, labels,
    price_version_id, cost_version_id, match, price, cost, exact_price, exact_cost
FROM usage_lines
WHERE tenant_id = %(tenant)s AND account_id = %(account)s AND seq = %(seq)s
ORDER BY length(line_id), line_id
LIMIT %(limit)s

-- name: trial_balance
-- One row per currency; one with NULLs when there is no account.
WITH clock AS MATERIALIZED (SELECT least(clock_timestamp(), %(horizon)s) AS now)
SELECT
    clock.now,
    EXISTS (
        SELECT 1
        FROM reservations AS r
        WHERE
            r.tenant_id = %(tenant)s
            AND r.state = 'ACTIVE'
            AND r.expire_time <= (SELECT clock.now FROM clock)
            {due_filters}
    ),
    sums.currency_code,
    sums.cash, sums.receivable, sums.provider_cost, sums.fee_cost, sums.refunds, sums.promotion_cost,
    sums.adjustments, sums.overrun_loss, sums.wallet, sums.revenue, sums.provider_payable, sums.fee_payable,
    sums.breakage, sums.clearing
FROM clock
LEFT JOIN (
    SELECT
        a.currency_code,
        sum(b.cash) AS cash,
        sum(b.receivable) AS receivable,
        sum(b.provider_cost) AS provider_cost,
        sum(b.fee_cost) AS fee_cost,
        sum(b.refunds) AS refunds,
        sum(b.promotion_cost) AS promotion_cost,
        sum(b.adjustments) AS adjustments,
        sum(b.overrun_loss) AS overrun_loss,
        sum(b.wallet) AS wallet,
        sum(b.revenue) AS revenue,
        sum(b.provider_payable) AS provider_payable,
        sum(b.fee_payable) AS fee_payable,
        sum(b.breakage) AS breakage,
        sum(b.clearing) AS clearing
    FROM books AS b
    INNER JOIN accounts AS a ON a.tenant_id = b.tenant_id AND a.account_id = b.account_id
    WHERE b.tenant_id = %(tenant)s {filters}
    GROUP BY a.currency_code
) AS sums ON true
ORDER BY sums.currency_code

-- name: books_of_account
AND b.account_id = %(account)s

-- name: due_of_account
AND r.account_id = %(account)s

-- name: due_accounts
-- The accounts of each tenant's longest due holds, without locks.
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
SELECT DISTINCT due.tenant_id, due.account_id
FROM unnest(%(tenants)s::text[]) AS named (tenant_id)
CROSS JOIN LATERAL (
    SELECT r.tenant_id, r.account_id
    FROM reservations AS r
    WHERE
        r.tenant_id = named.tenant_id
        AND r.state = 'ACTIVE'
        AND r.expire_time <= (SELECT clock.now FROM clock)
    ORDER BY r.expire_time
    LIMIT %(limit)s
) AS due

-- name: used_transactions
-- Transactions of usage that happened in a span of time, with their lines: what they were, what they cost now, and when
-- their prices were chosen.
SELECT
    w.account_id, w.seq, t.transaction_id, t.reservation_id, u.call_id,
    CASE WHEN h.price_epoch IS NOT NULL THEN h.create_time ELSE u.start_time END,
    CASE WHEN h.price_epoch IS NOT NULL THEN t.create_time END, u.start_time, u.counts,
    coalesce(last.stated, false) OR EXISTS (
        SELECT 1
        FROM cost_adjustments AS a
        WHERE a.tenant_id = %(tenant)s AND a.captured_transaction_id = t.transaction_id AND a.stated
    ),
    u.tenant_id, u.account_id, u.call_id, u.line_id, u.meter, u.provider, u.model, trim_scale(u.quantity),
    u.destination, u.operation, u.labels, coalesce(last.price_version_id, u.price_version_id),
    CASE WHEN last.number IS NULL THEN u.cost_version_id ELSE last.cost_version_id END,
    coalesce(last.match, u.match), coalesce(last.price, u.price), coalesce(last.cost, u.cost),
    coalesce(last.exact_price, u.exact_price), coalesce(last.exact_cost, u.exact_cost)
FROM (
    SELECT DISTINCT account_id, seq
    FROM usage_lines
    WHERE
        tenant_id = %(tenant)s
        AND seq IS NOT NULL
        AND start_time >= %(start)s
        AND start_time < %(end)s
        AND (%(account)s::text IS NULL OR account_id = %(account)s)
        AND (account_id, seq) > (%(after_account)s, %(after_seq)s)
    ORDER BY account_id, seq
    LIMIT %(limit)s
) AS w
INNER JOIN transactions AS t ON t.tenant_id = %(tenant)s AND t.account_id = w.account_id AND t.seq = w.seq
INNER JOIN usage_lines AS u ON u.tenant_id = %(tenant)s AND u.account_id = w.account_id AND u.seq = w.seq
LEFT JOIN reservations AS h ON h.tenant_id = %(tenant)s AND h.reservation_id = t.reservation_id
LEFT JOIN LATERAL (
    SELECT number, price, cost, exact_price, exact_cost, price_version_id, cost_version_id, match, stated
    FROM rerated_lines
    WHERE
        tenant_id = %(tenant)s
        AND account_id = u.account_id
        AND call_id = u.call_id
        AND line_id = u.line_id
    ORDER BY number DESC
    LIMIT 1
) AS last ON true
ORDER BY w.account_id, w.seq, u.line_id
