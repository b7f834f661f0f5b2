-- What posting batches load and write of budgets and alerts, and what SetBudget adds. Columns stand in the order of
-- rows.py.
--
-- A definition carries the epoch it came with; epochs are given out under the lock of the tenant's row. So whoever has
-- read an epoch finds all definitions up to it, in whatever snapshot.

-- name: read_epoch
SELECT budget_epoch FROM tenants WHERE tenant_id = %(tenant)s

-- name: load_budgets
SELECT
    tenant_id, budget_id, revision, display_name, account_id, label_key, label_value, meter_prefix, currency_code,
    basis, period, time_zone, limit_amount, thresholds, create_time, deleted
FROM budgets
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: lock_counters
-- After the books, in the order of budgets: before nothing but the alert head.
SELECT
    locked.tenant_id, locked.budget_id, locked.revision, locked.period_start, locked.period_end, locked.spent,
    locked.held, locked.fired_percent, locked.stopped
FROM (
    SELECT tenant_id, budget_id
    FROM unnest(%(tenants)s::text[], %(budgets)s::text[]) AS named (tenant_id, budget_id)
    ORDER BY tenant_id, budget_id
) AS wanted
CROSS JOIN LATERAL (
    SELECT tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped
    FROM budget_counters
    WHERE tenant_id = wanted.tenant_id AND budget_id = wanted.budget_id
    FOR NO KEY UPDATE
) AS locked

-- name: read_counter
SELECT tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped
FROM budget_counters
WHERE tenant_id = %(tenant)s AND budget_id = %(budget)s

-- name: update_counters
UPDATE budget_counters AS c
SET
    period_start = new.period_start,
    period_end = new.period_end,
    spent = new.spent,
    held = new.held,
    fired_percent = new.fired_percent,
    stopped = new.stopped
FROM unnest(
    %s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::bool[]
) AS new (tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped)
WHERE c.tenant_id = new.tenant_id AND c.budget_id = new.budget_id AND c.revision = new.revision

-- name: insert_alerts
-- Takes the tenants' next sequences, under the locks of their heads, the last ones in the order of locks. What
-- stops calls lists those that are running within its scope.
WITH new AS MATERIALIZED (
    SELECT
        tenant_id, ordinal, alert_id, kind, level, create_time, currency_code, account_id, reservation_id, call_ids,
        budget_id, revision, percent, action, action_label, period_start, period_end, spent, held, limit_amount,
        available, amount, label_key, label_value, meter_prefix
    FROM unnest(
        %s::text[], %s::uuid[], %s::text[], %s::smallint[], %s::timestamptz[], %s::text[], %s::text[], %s::uuid[],
        %s::text[], %s::text[], %s::int[], %s::numeric[], %s::text[], %s::text[], %s::timestamptz[],
        %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::text[],
        %s::text[], %s::text[]
    ) WITH ORDINALITY AS given (
        tenant_id, alert_id, kind, level, create_time, currency_code, account_id, reservation_id, call_ids,
        budget_id, revision, percent, action, action_label, period_start, period_end, spent, held, limit_amount,
        available, amount, label_key, label_value, meter_prefix, ordinal
    )
),
heads AS (
    INSERT INTO alert_heads AS h (tenant_id, last_sequence, pruned_sequence)
    SELECT tenant_id, count(*), 0 FROM new GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT ON CONSTRAINT pk_alert_heads DO UPDATE SET last_sequence = h.last_sequence + excluded.last_sequence
    RETURNING tenant_id, last_sequence
)
INSERT INTO alerts (
    tenant_id, sequence, alert_id, kind, level, create_time, currency_code, account_id, reservation_id, call_ids,
    budget_id, revision, percent, action, action_label, period_start, period_end, spent, held, limit_amount,
    available, amount
)
SELECT
    new.tenant_id,
    heads.last_sequence + 1 - row_number() OVER (PARTITION BY new.tenant_id ORDER BY new.ordinal DESC),
    new.alert_id, new.kind, new.level, new.create_time, new.currency_code, new.account_id, new.reservation_id,
    CASE
        WHEN new.action = 'STOP_CALLS' THEN ARRAY(
            SELECT running.call_id
            FROM (
                (
                    SELECT
                        coalesce(nullif(call_id, ''), 'rsv_' || replace(reservation_id::text, '-', '')) AS call_id,
                        labels, estimate
                    FROM reservations
                    WHERE
                        tenant_id = new.tenant_id
                        AND account_id = new.account_id
                        AND state = 'ACTIVE'
                    OFFSET 0
                )
                UNION ALL
                (
                    SELECT
                        coalesce(nullif(r.call_id, ''), 'rsv_' || replace(r.reservation_id::text, '-', '')),
                        r.labels, r.estimate
                    FROM reservations AS r
                    CROSS JOIN LATERAL (
                        SELECT currency_code
                        FROM accounts
                        WHERE tenant_id = r.tenant_id AND account_id = r.account_id
                        LIMIT 1
                    ) AS a
                    WHERE
                        new.account_id IS NULL
                        AND r.tenant_id = new.tenant_id
                        AND r.state = 'ACTIVE'
                        AND a.currency_code = new.currency_code
                    OFFSET 0
                )
            ) AS running (call_id, labels, estimate)
            WHERE
                (new.label_key IS NULL OR running.labels ->> new.label_key = new.label_value)
                AND (
                    new.meter_prefix = ''
                    OR EXISTS (
                        SELECT 1
                        FROM jsonb_array_elements(running.estimate) AS part
                        WHERE starts_with(part ->> 0, new.meter_prefix)
                    )
                )
            LIMIT 1000
        )
        ELSE ARRAY(SELECT jsonb_array_elements_text(new.call_ids::jsonb))
    END,
    new.budget_id, new.revision, new.percent, new.action, new.action_label, new.period_start, new.period_end,
    new.spent, new.held, new.limit_amount, new.available, new.amount
FROM new
JOIN heads ON heads.tenant_id = new.tenant_id

-- name: lock_tenant
-- By the same gate as posting batches, ledger load.sql lock_tenants: later ones queue up behind.
SELECT locked.budget_epoch
FROM (
    SELECT %(tenant)s::text AS tenant_id, pg_advisory_xact_lock(hashtextextended(%(tenant)s::text, 0))
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT budget_epoch
    FROM tenants
    WHERE tenant_id = wanted.tenant_id
    FOR UPDATE
) AS locked

-- name: share_tenant
SELECT budget_epoch FROM tenants WHERE tenant_id = %(tenant)s FOR KEY SHARE

-- name: clock
SELECT clock_timestamp()

-- name: set_epoch
UPDATE tenants SET budget_epoch = %(epoch)s WHERE tenant_id = %(tenant)s

-- name: take_time
-- A long sum, without locks: it may take what it needs.
SELECT set_config('statement_timeout', %(milliseconds)s, true), set_config('transaction_timeout', '0', true)

-- name: take_time_before_17
SELECT set_config('statement_timeout', %(milliseconds)s, true)

-- name: find_budget
-- The newest revision.
SELECT
    tenant_id, budget_id, revision, display_name, account_id, label_key, label_value, meter_prefix, currency_code,
    basis, period, time_zone, limit_amount, thresholds, create_time, deleted
FROM budgets
WHERE tenant_id = %(tenant)s AND budget_id = %(budget)s
ORDER BY revision DESC
LIMIT 1

-- name: find_revision
SELECT
    tenant_id, budget_id, revision, display_name, account_id, label_key, label_value, meter_prefix, currency_code,
    basis, period, time_zone, limit_amount, thresholds, create_time, deleted
FROM budgets
WHERE tenant_id = %(tenant)s AND budget_id = %(budget)s AND revision = %(revision)s

-- name: find_currency
SELECT currency_code FROM accounts WHERE tenant_id = %(tenant)s AND account_id = %(account)s

-- name: insert_budget
INSERT INTO budgets (
    tenant_id, budget_id, revision, deleted, display_name, account_id, label_key, label_value, meter_prefix,
    currency_code, basis, period, time_zone, limit_amount, thresholds, epoch, create_time
)
VALUES (
    %(tenant)s, %(budget)s, %(revision)s, %(deleted)s, %(display_name)s, %(account)s, %(label_key)s, %(label_value)s,
    %(meter_prefix)s, %(currency)s, %(basis)s, %(period)s, %(time_zone)s, %(limit)s, %(thresholds)s, %(epoch)s,
    %(create_time)s
)

-- name: put_counter
INSERT INTO budget_counters (
    tenant_id, budget_id, revision, period_start, period_end, spent, held, fired_percent, stopped
)
VALUES (
    %(tenant)s, %(budget)s, %(revision)s, %(period_start)s, %(period_end)s, %(spent)s, %(held)s, %(fired_percent)s,
    %(stopped)s
)
ON CONFLICT ON CONSTRAINT pk_budget_counters DO UPDATE SET
    revision = excluded.revision,
    period_start = excluded.period_start,
    period_end = excluded.period_end,
    spent = excluded.spent,
    held = excluded.held,
    fired_percent = excluded.fired_percent,
    stopped = excluded.stopped

-- name: one_account
SELECT %(tenant)s::text AS tenant_id, %(account)s::text AS account_id

-- name: all_accounts
-- Those in the currency that have a transaction since `from`.
SELECT b.tenant_id, b.account_id
FROM books AS b
CROSS JOIN LATERAL (
    SELECT currency_code
    FROM accounts
    WHERE tenant_id = b.tenant_id AND account_id = b.account_id
    LIMIT 1
) AS a
WHERE
    b.tenant_id = %(tenant)s
    AND b.last_time >= coalesce(%(from)s::timestamptz, '-infinity')
    AND a.currency_code = %(currency)s

-- name: sum_spent
-- What transactions written from `from` to before `to` have charged and cost, less what they gave back, and by what they
-- lowered the cost, of those written since `period_start`. The scope is one_account or all_accounts.
WITH written AS (
    SELECT t.tenant_id, t.account_id, t.seq, t.transaction_id, t.kind, t.labels
    FROM ({scope}) AS scope
    CROSS JOIN LATERAL (
        SELECT tenant_id, account_id, seq, transaction_id, kind, labels
        FROM transactions
        WHERE
            tenant_id = scope.tenant_id
            AND account_id = scope.account_id
            AND create_time >= coalesce(%(from)s::timestamptz, '-infinity')
            AND create_time < coalesce(%(to)s::timestamptz, 'infinity')
        OFFSET 0
    ) AS t
)
SELECT coalesce(sum(moved.charged), 0), coalesce(sum(moved.cost), 0)
FROM (
    SELECT posted.charged, posted.cost
    FROM written
    CROSS JOIN LATERAL (
        SELECT
            sum(amount) FILTER (WHERE credit = 'REVENUE' AND debit IN ('WALLET', 'RECEIVABLE')) AS charged,
            sum(amount) FILTER (WHERE debit = 'PROVIDER_COST') AS cost
        FROM postings
        WHERE tenant_id = written.tenant_id AND account_id = written.account_id AND seq = written.seq
    ) AS posted
    WHERE %(label_key)s::text IS NULL OR written.labels ->> %(label_key)s::text = %(label_value)s::text
    UNION ALL
    SELECT - returned.amount, - returned.cost
    FROM written
    CROSS JOIN LATERAL (
        (
            SELECT tenant_id, captured_transaction_id, amount, cost
            FROM refunds
            WHERE tenant_id = written.tenant_id AND refund_transaction_id = written.transaction_id
            OFFSET 0
        )
        UNION ALL
        (
            SELECT tenant_id, captured_transaction_id, 0, - cost
            FROM cost_adjustments
            WHERE tenant_id = written.tenant_id AND adjusting_transaction_id = written.transaction_id AND cost < 0
            OFFSET 0
        )
    ) AS returned
    CROSS JOIN LATERAL (
        SELECT create_time, labels
        FROM transactions
        WHERE tenant_id = returned.tenant_id AND transaction_id = returned.captured_transaction_id
        LIMIT 1
    ) AS captured
    WHERE
        written.kind IN ('REFUND', 'LATE_COMMIT', 'RERATE', 'TRUE_UP')
        AND captured.create_time >= coalesce(%(period_start)s::timestamptz, '-infinity')
        AND (%(label_key)s::text IS NULL OR captured.labels ->> %(label_key)s::text = %(label_value)s::text)
) AS moved (charged, cost)

-- name: sum_metered
-- The same of the usage lines of meters with a prefix. Refunds give back money, not usage: they count for none.
SELECT coalesce(sum(line.price), 0), coalesce(sum(line.cost), 0)
FROM ({scope}) AS scope
CROSS JOIN LATERAL (
    SELECT tenant_id, account_id, seq, labels
    FROM transactions
    WHERE
        tenant_id = scope.tenant_id
        AND account_id = scope.account_id
        AND create_time >= coalesce(%(from)s::timestamptz, '-infinity')
        AND create_time < coalesce(%(to)s::timestamptz, 'infinity')
    OFFSET 0
) AS written
CROSS JOIN LATERAL (
    SELECT meter, price, cost
    FROM usage_lines
    WHERE tenant_id = written.tenant_id AND account_id = written.account_id AND seq = written.seq
    OFFSET 0
) AS line
WHERE
    starts_with(line.meter, %(meter_prefix)s)
    AND (%(label_key)s::text IS NULL OR written.labels ->> %(label_key)s::text = %(label_value)s::text)

-- name: running_of_account
tenant_id = %(tenant)s AND account_id = %(account)s AND state = 'ACTIVE'

-- name: running_of_all
tenant_id = %(tenant)s AND state = 'ACTIVE'

-- name: sum_held
-- What open holds may still charge and cost; of meters with a prefix at most what was estimated for them. The scope is
-- running_of_account or running_of_all. The same as rules.open_hold and rules.held_by.
SELECT
    coalesce(sum(CASE WHEN %(meter_prefix)s = '' THEN left_over.charged ELSE least(left_over.charged, part.price) END), 0),
    coalesce(sum(CASE WHEN %(meter_prefix)s = '' THEN left_over.cost ELSE least(left_over.cost, part.cost) END), 0)
FROM (
    SELECT tenant_id, account_id, amount, captured, absorbed, captured_cost, labels, estimate
    FROM reservations
    WHERE {scope}
    OFFSET 0
) AS r
CROSS JOIN LATERAL (
    SELECT currency_code
    FROM accounts
    WHERE tenant_id = r.tenant_id AND account_id = r.account_id
    LIMIT 1
) AS a
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum((item ->> 2)::numeric), 0) AS whole_cost,
        coalesce(sum((item ->> 1)::numeric) FILTER (WHERE starts_with(item ->> 0, %(meter_prefix)s)), 0) AS price,
        coalesce(sum((item ->> 2)::numeric) FILTER (WHERE starts_with(item ->> 0, %(meter_prefix)s)), 0) AS cost
    FROM jsonb_array_elements(coalesce(r.estimate, '[]')) AS item
) AS part
CROSS JOIN LATERAL (
    SELECT
        greatest(0, r.amount - r.captured - r.absorbed) AS charged,
        greatest(0, part.whole_cost - r.captured_cost) AS cost
) AS left_over
WHERE
    a.currency_code = %(currency)s
    AND (%(label_key)s::text IS NULL OR r.labels ->> %(label_key)s::text = %(label_value)s::text)

-- name: find_alert
SELECT sequence FROM alerts WHERE tenant_id = %(tenant)s AND alert_id = %(alert)s

-- name: acknowledge
-- The first one counts.
INSERT INTO alert_acknowledgements (tenant_id, sequence, acknowledged_by, create_time)
VALUES (%(tenant)s, %(sequence)s, %(acknowledged_by)s, clock_timestamp())
ON CONFLICT ON CONSTRAINT pk_alert_acknowledgements DO NOTHING

-- name: find_operation
SELECT fingerprint, denial_reason, payload
FROM operations
WHERE tenant_id = %(tenant)s AND kind = %(kind)s AND idempotency_key = %(key)s

-- name: insert_operation
INSERT INTO operations (tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload, create_time)
VALUES (%(tenant)s, %(kind)s, %(key)s, %(fingerprint)s, %(denial_reason)s, %(payload)s, clock_timestamp())
ON CONFLICT ON CONSTRAINT pk_operations DO NOTHING
RETURNING 1

-- name: old_alerts
-- Up to which sequence all alerts are older than an age: those before the first younger one, `limit` of them at most.
WITH oldest AS (
    SELECT sequence, create_time
    FROM alerts
    WHERE tenant_id = %(tenant)s
    ORDER BY sequence
    LIMIT %(limit)s
)
SELECT max(sequence)
FROM oldest
WHERE sequence < coalesce(
    (SELECT min(sequence) FROM oldest WHERE create_time > clock_timestamp() - make_interval(secs => %(age_s)s)),
    (SELECT max(sequence) + 1 FROM oldest)
)

-- name: note_pruned
UPDATE alert_heads SET pruned_sequence = greatest(pruned_sequence, %(sequence)s) WHERE tenant_id = %(tenant)s

-- name: delete_acknowledgements
DELETE FROM alert_acknowledgements WHERE tenant_id = %(tenant)s AND sequence <= %(sequence)s

-- name: delete_alerts
DELETE FROM alerts WHERE tenant_id = %(tenant)s AND sequence <= %(sequence)s

-- name: counted_budgets
-- For `imprest verify`: those that are not deleted, of one tenant or of all (NULL).
SELECT tenant_id, budget_id
FROM (
    SELECT DISTINCT ON (tenant_id, budget_id) tenant_id, budget_id, deleted
    FROM budgets
    WHERE tenant_id = coalesce(%(tenant)s::text, tenant_id)
    ORDER BY tenant_id, budget_id, revision DESC
) AS newest
WHERE NOT deleted
ORDER BY tenant_id, budget_id

-- name: alert_streams
-- For `imprest verify`: what the heads say, and what there is.
SELECT
    coalesce(h.tenant_id, a.tenant_id), coalesce(h.last_sequence, 0), coalesce(h.pruned_sequence, 0), a.first, a.newest,
    coalesce(a.count, 0)
FROM alert_heads AS h
FULL JOIN (
    SELECT tenant_id, min(sequence) AS first, max(sequence) AS newest, count(*) AS count
    FROM alerts
    GROUP BY tenant_id
) AS a ON a.tenant_id = h.tenant_id
WHERE coalesce(h.tenant_id, a.tenant_id) = coalesce(%(tenant)s::text, h.tenant_id, a.tenant_id)
ORDER BY 1
