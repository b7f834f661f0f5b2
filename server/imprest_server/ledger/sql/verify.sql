-- What `imprest verify` reads. `{range}` is replaced by the blocks range_…, joined by AND.

-- name: is_limited
SELECT row_security_active('books')

-- name: range_everything
true

-- name: range_tenant
tenant_id = %(tenant)s

-- name: range_account
account_id = %(account)s

-- name: range_after
(tenant_id, account_id) > (%(after_tenant)s, %(after_account)s)

-- name: range_upto
(tenant_id, account_id) <= (%(upto_tenant)s, %(upto_account)s)

-- name: range_before
(tenant_id, account_id) < (%(before_tenant)s, %(before_account)s)

-- name: range_after_seq
seq > %(after_seq)s

-- name: range_upto_seq
seq <= %(upto_seq)s

-- name: range_after_reservation
(tenant_id, account_id, reservation_id) > (%(done_tenant)s, %(done_account)s, %(done_reservation)s)

-- name: plan
-- The next accounts in the order of their keys, and how long their journals are.
SELECT a.tenant_id, a.account_id, coalesce(b.seq, 0)
FROM (
    SELECT tenant_id, account_id
    FROM accounts
    WHERE {range}
    ORDER BY tenant_id, account_id
    LIMIT %(limit)s
) AS a
LEFT JOIN books AS b ON b.tenant_id = a.tenant_id AND b.account_id = a.account_id
ORDER BY a.tenant_id, a.account_id

-- name: accounts
-- Accounts with their books.
SELECT
    a.tenant_id, a.account_id, a.customer_id, a.display_name, a.currency_code, a.parent_account_id, a.credit_limit,
    a.overrun_policy, a.max_overrun, a.max_concurrent_calls, a.low_balance_threshold, a.time_zone, a.labels, a.state,
    a.create_time, a.update_time,
    b.tenant_id, b.account_id, b.cash, b.receivable, b.provider_cost, b.fee_cost, b.refunds, b.promotion_cost,
    b.adjustments, b.overrun_loss, b.wallet, b.revenue, b.provider_payable, b.fee_payable, b.breakage, b.clearing,
    b.held, b.open_count, b.seq, b.chain_hash, b.last_time, b.low_balance, b.low_balance_time
FROM (
    SELECT
        tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
        overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
        create_time, update_time
    FROM accounts
    WHERE {range}
) AS a
LEFT JOIN books AS b ON b.tenant_id = a.tenant_id AND b.account_id = a.account_id
ORDER BY a.tenant_id, a.account_id

-- name: journal
-- Transactions with their postings, each also without the other, in the order of seq in each book.
SELECT
    coalesce(t.tenant_id, p.tenant_id) AS tenant_id, coalesce(t.account_id, p.account_id) AS account_id,
    coalesce(t.seq, p.seq) AS seq, r.account_id,
    t.tenant_id, t.transaction_id, t.account_id, t.seq, t.kind, t.wallet_after, t.receivable_after, t.reservation_id,
    t.call_id, t.reason, t.external_reference, t.labels, t.effective_time, t.create_time, t.chain_hash,
    p.debits, p.credits, p.amounts
FROM (
    SELECT
        tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id,
        reason, external_reference, labels, effective_time, create_time, chain_hash
    FROM transactions
    WHERE {range}
) AS t
FULL JOIN (
    SELECT
        tenant_id, account_id, seq,
        array_agg(debit ORDER BY line) AS debits,
        array_agg(credit ORDER BY line) AS credits,
        array_agg(amount ORDER BY line) AS amounts
    FROM postings
    WHERE {range}
    GROUP BY tenant_id, account_id, seq
) AS p ON p.tenant_id = t.tenant_id AND p.account_id = t.account_id AND p.seq = t.seq
LEFT JOIN reservations AS r ON r.tenant_id = t.tenant_id AND r.reservation_id = t.reservation_id
ORDER BY 1, 2, 3

-- name: allocations
-- What transactions of the range gave back, with all that was given back of the same captured transaction.
SELECT
    t.tenant_id, t.account_id, t.seq, r.account_id, r.kind, r.amount, r.cost, c.account_id, c.seq,
    coalesce(posted.charged, 0), coalesce(posted.cost, 0) + corrected.cost, given_back.amount, given_back.cost
FROM (SELECT tenant_id, transaction_id, account_id, seq FROM transactions WHERE {range}) AS t
INNER JOIN refunds AS r ON r.tenant_id = t.tenant_id AND r.refund_transaction_id = t.transaction_id
LEFT JOIN transactions AS c ON c.tenant_id = r.tenant_id AND c.transaction_id = r.captured_transaction_id
LEFT JOIN LATERAL (
    SELECT
        sum(p.amount) FILTER (WHERE p.credit = 'REVENUE' AND p.debit IN ('WALLET', 'RECEIVABLE')) AS charged,
        sum(p.amount) FILTER (WHERE p.debit = 'PROVIDER_COST') AS cost
    FROM postings AS p
    WHERE p.tenant_id = c.tenant_id AND p.account_id = c.account_id AND p.seq = c.seq
) AS posted ON true
CROSS JOIN LATERAL (
    SELECT sum(g.amount) AS amount, sum(g.cost) AS cost
    FROM refunds AS g
    WHERE g.tenant_id = r.tenant_id AND g.captured_transaction_id = r.captured_transaction_id
) AS given_back
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.cost), 0) AS cost
    FROM cost_adjustments AS a
    WHERE a.tenant_id = r.tenant_id AND a.captured_transaction_id = r.captured_transaction_id
) AS corrected

-- name: corrections
-- By how much transactions of the range corrected costs, with what is left of the cost of the same captured transaction.
-- A row that names one transaction twice says that its cost was stated as it is: it corrects nothing.
SELECT
    t.tenant_id, t.account_id, t.seq, a.account_id, a.cost, c.account_id, c.seq, c.kind,
    coalesce(posted.cost, 0) + corrected.cost - given_back.cost
FROM (SELECT tenant_id, transaction_id, account_id, seq FROM transactions WHERE {range}) AS t
INNER JOIN cost_adjustments AS a ON a.tenant_id = t.tenant_id AND a.adjusting_transaction_id = t.transaction_id
LEFT JOIN transactions AS c ON c.tenant_id = a.tenant_id AND c.transaction_id = a.captured_transaction_id
LEFT JOIN LATERAL (
    SELECT sum(p.amount) AS cost
    FROM postings AS p
    WHERE p.tenant_id = c.tenant_id AND p.account_id = c.account_id AND p.seq = c.seq AND p.debit = 'PROVIDER_COST'
) AS posted ON true
CROSS JOIN LATERAL (
    SELECT sum(o.cost) AS cost
    FROM cost_adjustments AS o
    WHERE o.tenant_id = a.tenant_id AND o.captured_transaction_id = a.captured_transaction_id
) AS corrected
CROSS JOIN LATERAL (
    SELECT coalesce(sum(g.cost), 0) AS cost
    FROM refunds AS g
    WHERE g.tenant_id = a.tenant_id AND g.captured_transaction_id = a.captured_transaction_id
) AS given_back
WHERE a.cost <> 0 OR a.adjusting_transaction_id <> a.captured_transaction_id

-- name: usage
-- What the usage lines of each transaction add up to.
SELECT tenant_id, account_id, seq, sum(price), sum(cost)
FROM usage_lines
WHERE seq IS NOT NULL AND {range}
GROUP BY tenant_id, account_id, seq

-- name: rerated
-- What the re-rated lines of each transaction add up to: more or less price and cost than before.
SELECT tenant_id, account_id, seq, sum(price - price_before), sum(cost - cost_before)
FROM rerated_lines
WHERE seq IS NOT NULL AND {range}
GROUP BY tenant_id, account_id, seq

-- name: rerated_chains
-- Re-rates that do not go on from what the line cost before.
SELECT tenant_id, account_id, captured_seq, line_id, price_expected, price_before
FROM (
    SELECT
        r.tenant_id, r.account_id, r.captured_seq, r.line_id, r.price_before, r.cost_before,
        coalesce(earlier.price, CASE WHEN r.number = 1 THEN u.price END) AS price_expected,
        coalesce(earlier.cost, CASE WHEN r.number = 1 THEN u.cost END) AS cost_expected,
        u.seq
    FROM (SELECT * FROM rerated_lines WHERE {range}) AS r
    INNER JOIN usage_lines AS u USING (tenant_id, account_id, call_id, line_id)
    LEFT JOIN rerated_lines AS earlier
        ON
            earlier.tenant_id = r.tenant_id
            AND earlier.account_id = r.account_id
            AND earlier.call_id = r.call_id
            AND earlier.line_id = r.line_id
            AND earlier.number = r.number - 1
) AS chain
WHERE
    (price_before, cost_before, captured_seq) IS DISTINCT FROM (price_expected, cost_expected, seq)
ORDER BY 1, 2, 3, 4

-- name: counters
-- Month counters that are not what the lines have added to them.
SELECT
    coalesce(c.tenant_id, l.tenant_id), coalesce(c.account_id, l.account_id), coalesce(c.month, l.month),
    coalesce(c.side, l.side), coalesce(c.meter, l.meter), coalesce(l.quantity, 0), coalesce(c.quantity, 0)
FROM (
    SELECT tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
    FROM usage_counters
    WHERE {range}
) AS c
FULL JOIN (
    SELECT
        tenant_id, account_id, (count ->> 0)::date AS month, count ->> 1 AS side, count ->> 2 AS meter,
        count ->> 3 AS provider, count ->> 4 AS model, count ->> 5 AS destination_prefix,
        sum((count ->> 7)::numeric) AS quantity
    FROM usage_lines CROSS JOIN LATERAL jsonb_array_elements(counts) AS count
    WHERE {range}
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
) AS l USING (tenant_id, account_id, month, side, meter, provider, model, destination_prefix)
WHERE c.quantity IS DISTINCT FROM l.quantity
ORDER BY 1, 2, 3, 4, 5

-- name: holds
-- What the ACTIVE reservations of each book still hold, and how many they are.
SELECT tenant_id, account_id, sum(greatest(0, amount - captured - absorbed)), count(*)
FROM reservations
WHERE state = 'ACTIVE' AND {range}
GROUP BY tenant_id, account_id

-- name: reservations
-- Reservations with what their transactions charged the customer, wrote off and cost; a late commit may have returned
-- some.
SELECT
    r.tenant_id, r.account_id, r.reservation_id, r.captured, r.absorbed, r.captured_cost,
    coalesce(posted.charged, 0) - coalesce(posted.returned, 0), coalesce(posted.lost, 0) - coalesce(posted.regained, 0),
    coalesce(posted.cost, 0)
FROM (
    SELECT tenant_id, account_id, reservation_id, captured, absorbed, captured_cost
    FROM reservations
    WHERE {range}
    ORDER BY tenant_id, account_id, reservation_id
    LIMIT %(limit)s
) AS r
LEFT JOIN LATERAL (
    SELECT
        sum(p.amount) FILTER (WHERE p.credit = 'REVENUE' AND p.debit IN ('WALLET', 'RECEIVABLE')) AS charged,
        sum(p.amount) FILTER (WHERE p.debit = 'REFUNDS') AS returned,
        sum(p.amount) FILTER (WHERE p.debit = 'OVERRUN_LOSS' AND p.credit = 'REVENUE') AS lost,
        sum(p.amount) FILTER (WHERE p.debit = 'REVENUE' AND p.credit = 'OVERRUN_LOSS') AS regained,
        sum(CASE WHEN p.debit = 'PROVIDER_COST' THEN p.amount WHEN p.credit = 'PROVIDER_COST' THEN -p.amount END) AS cost
    FROM transactions AS t
    INNER JOIN postings AS p ON p.tenant_id = t.tenant_id AND p.account_id = t.account_id AND p.seq = t.seq
    WHERE
        t.tenant_id = r.tenant_id
        AND t.reservation_id = r.reservation_id
        AND t.kind IN ('COMMIT', 'EXPIRE', 'LATE_COMMIT')
) AS posted ON true
ORDER BY r.tenant_id, r.account_id, r.reservation_id

-- name: clearing
SELECT b.tenant_id, a.currency_code, sum(b.clearing)
FROM (SELECT tenant_id, account_id, clearing FROM books WHERE {range}) AS b
INNER JOIN accounts AS a ON a.tenant_id = b.tenant_id AND a.account_id = b.account_id
GROUP BY b.tenant_id, a.currency_code
HAVING sum(b.clearing) <> 0
ORDER BY b.tenant_id, a.currency_code

-- name: tenant_exists
SELECT 1 FROM tenants WHERE {range}

-- name: account_exists
SELECT 1 FROM accounts WHERE {range}
