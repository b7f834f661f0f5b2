-- What callers read of budgets and alerts. Columns stand in the order of rows.py.

-- name: budget_columns
b.tenant_id, b.budget_id, b.revision, b.display_name, b.account_id, b.label_key, b.label_value, b.meter_prefix,
b.currency_code, b.basis, b.period, b.time_zone, b.limit_amount, b.thresholds, b.create_time, b.deleted

-- name: get_status
SELECT
    {budget_columns}, c.tenant_id, c.budget_id, c.revision, c.period_start, c.period_end, c.spent, c.held,
    c.fired_percent, c.stopped, clock_timestamp()
FROM budgets AS b
JOIN budget_counters AS c ON c.tenant_id = b.tenant_id AND c.budget_id = b.budget_id
WHERE b.tenant_id = %(tenant)s AND b.budget_id = %(budget)s
ORDER BY b.revision DESC
LIMIT 1

-- name: list_budgets
SELECT {budget_columns}
FROM (
    SELECT DISTINCT ON (budget_id)
        tenant_id, budget_id, revision, display_name, account_id, label_key, label_value, meter_prefix, currency_code,
        basis, period, time_zone, limit_amount, thresholds, create_time, deleted
    FROM budgets
    WHERE tenant_id = %(tenant)s AND budget_id > %(after)s
    ORDER BY budget_id, revision DESC
) AS b
WHERE NOT b.deleted {filters}
ORDER BY b.budget_id
LIMIT %(limit)s

-- name: budgets_of_account
AND b.account_id = %(account)s

-- name: budgets_of_label
AND b.label_key = %(label_key)s

-- name: alert_columns
a.tenant_id, a.sequence, a.alert_id, a.kind, a.level, a.create_time, a.currency_code, a.account_id, a.reservation_id,
a.call_ids, a.budget_id, a.revision, a.percent, a.action, a.action_label, a.period_start, a.period_end, a.spent,
a.held, a.limit_amount, a.available, a.amount, k.create_time, k.acknowledged_by

-- name: read_alerts
-- The next ones of a tenant's stream.
SELECT {alert_columns}
FROM alerts AS a
LEFT JOIN alert_acknowledgements AS k ON k.tenant_id = a.tenant_id AND k.sequence = a.sequence
WHERE a.tenant_id = %(tenant)s AND a.sequence > %(after)s
ORDER BY a.sequence
LIMIT %(limit)s

-- name: list_alerts
-- Newest first.
SELECT {alert_columns}
FROM alerts AS a
LEFT JOIN alert_acknowledgements AS k ON k.tenant_id = a.tenant_id AND k.sequence = a.sequence
WHERE a.tenant_id = %(tenant)s AND a.sequence < %(before)s {filters}
ORDER BY a.sequence DESC
LIMIT %(limit)s

-- name: alerts_of_account
AND a.account_id = %(account)s

-- name: alerts_of_budget
AND a.budget_id = %(budget)s

-- name: alerts_of_level
AND a.level >= %(min_level)s

-- name: alerts_of_kinds
AND a.kind = ANY (%(kinds)s)

-- name: alerts_since
AND a.create_time >= %(start_time)s

-- name: alerts_until
AND a.create_time < %(end_time)s

-- name: alerts_unacknowledged
AND k.sequence IS NULL

-- name: get_alert
SELECT {alert_columns}
FROM alerts AS a
LEFT JOIN alert_acknowledgements AS k ON k.tenant_id = a.tenant_id AND k.sequence = a.sequence
WHERE a.tenant_id = %(tenant)s AND a.sequence = %(sequence)s

-- name: read_head
SELECT last_sequence, pruned_sequence FROM alert_heads WHERE tenant_id = %(tenant)s

-- name: first_since
-- The first alert written at or after an instant. Its time is read before its sequence is taken, so a later sequence
-- may have a slightly earlier time; all from the first on are replayed.
SELECT sequence
FROM alerts
WHERE tenant_id = %(tenant)s AND create_time >= %(start_time)s
ORDER BY sequence
LIMIT 1
