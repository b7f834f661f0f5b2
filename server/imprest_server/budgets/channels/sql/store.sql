-- Channels and deliveries. Columns stand in the order that store.py reads them in.
--
-- A channel's row is locked while its cursor moves, so an alert becomes a delivery once. Alerts are committed in the
-- order of their sequences: whoever has seen one never finds an earlier one later.

-- name: clock
SELECT clock_timestamp()

-- name: list_channels
SELECT
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, account_id, disabled, secret,
    previous_secret, previous_until, cursor_sequence, create_time, update_time
FROM alert_channels
WHERE tenant_id = %(tenant)s AND channel_id > %(after)s
ORDER BY channel_id
LIMIT %(limit)s

-- name: find_channel
SELECT
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, account_id, disabled, secret,
    previous_secret, previous_until, cursor_sequence, create_time, update_time
FROM alert_channels
WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s

-- name: lock_channel
SELECT
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, account_id, disabled, secret,
    previous_secret, previous_until, cursor_sequence, create_time, update_time
FROM alert_channels
WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s
FOR NO KEY UPDATE

-- name: last_sequence
SELECT last_sequence FROM alert_heads WHERE tenant_id = %(tenant)s

-- name: insert_channel
INSERT INTO alert_channels (
    tenant_id, channel_id, kind, display_name, url, recipients, min_level, kinds, account_id, disabled, secret,
    previous_secret, previous_until, cursor_sequence, create_time, update_time
)
VALUES (
    %(tenant)s, %(channel)s, %(kind)s, %(display_name)s, %(url)s, %(recipients)s, %(min_level)s, %(kinds)s,
    %(account)s, %(disabled)s, %(secret)s, %(previous_secret)s, %(previous_until)s, %(cursor)s, %(create_time)s,
    %(update_time)s
)
ON CONFLICT ON CONSTRAINT pk_alert_channels DO NOTHING
RETURNING 1

-- name: update_channel
UPDATE alert_channels
SET
    display_name = %(display_name)s,
    url = %(url)s,
    recipients = %(recipients)s,
    min_level = %(min_level)s,
    kinds = %(kinds)s,
    account_id = %(account)s,
    disabled = %(disabled)s,
    secret = %(secret)s,
    previous_secret = %(previous_secret)s,
    previous_until = %(previous_until)s,
    cursor_sequence = %(cursor)s,
    update_time = %(update_time)s
WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s

-- name: delete_channel
-- Its deliveries go with it.
DELETE FROM alert_channels WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s RETURNING 1

-- name: channels_behind
-- Those that have not seen the newest alerts.
SELECT c.channel_id
FROM alert_channels AS c
WHERE
    c.tenant_id = %(tenant)s
    AND NOT c.disabled
    AND c.cursor_sequence < (SELECT last_sequence FROM alert_heads WHERE tenant_id = %(tenant)s)
ORDER BY c.channel_id

-- name: lock_cursor
-- Whoever else has it does the same work.
SELECT cursor_sequence, min_level, kinds, account_id
FROM alert_channels
WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s AND NOT disabled
FOR NO KEY UPDATE SKIP LOCKED

-- name: insert_deliveries
-- For the next alerts after the cursor that pass the filter; the cursor moves over all of them.
WITH next AS MATERIALIZED (
    SELECT tenant_id, sequence, kind, level, account_id
    FROM alerts
    WHERE tenant_id = %(tenant)s AND sequence > %(cursor)s
    ORDER BY sequence
    LIMIT %(limit)s
),
made AS (
    INSERT INTO alert_deliveries (
        tenant_id, channel_id, sequence, state, attempts, last_attempt, create_time, next_time, detail
    )
    SELECT tenant_id, %(channel)s, sequence, 'PENDING', 0, %(attempts)s, clock_timestamp(), clock_timestamp(), ''
    FROM next
    WHERE
        level >= %(min_level)s
        AND (%(kinds)s::text[] = '{}' OR kind = ANY(%(kinds)s::text[]))
        AND (%(account)s::text IS NULL OR account_id = %(account)s::text)
    ON CONFLICT ON CONSTRAINT pk_alert_deliveries DO NOTHING
)
UPDATE alert_channels
SET cursor_sequence = found.last
FROM (SELECT max(sequence) AS last, count(*) AS count FROM next) AS found
WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s AND found.last IS NOT NULL
RETURNING found.count

-- name: claim
-- Up to so many due deliveries of each channel, for as long as the lease lasts. A delivery that another worker has
-- claimed meanwhile is not due any more. The last LIMIT tells the planner what it cannot know: that there are few.
WITH due AS MATERIALIZED (
    SELECT d.tenant_id, d.channel_id, d.sequence
    FROM unnest(%(channels)s::text[], %(slots)s::bigint[]) AS c (channel_id, slots)
    CROSS JOIN LATERAL (
        SELECT tenant_id, channel_id, sequence
        FROM alert_deliveries
        WHERE
            tenant_id = %(tenant)s
            AND channel_id = c.channel_id
            AND state = 'PENDING'
            AND next_time <= (SELECT clock_timestamp())
        ORDER BY next_time
        LIMIT c.slots
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT 64
),
claimed AS (
    UPDATE alert_deliveries AS d
    SET attempts = d.attempts + 1, next_time = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM due
    WHERE d.tenant_id = due.tenant_id AND d.channel_id = due.channel_id AND d.sequence = due.sequence
    RETURNING d.tenant_id, d.channel_id, d.sequence, d.attempts, d.last_attempt
)
SELECT
    claimed.channel_id, claimed.attempts, claimed.last_attempt, a.tenant_id, a.sequence, a.alert_id, a.kind, a.level,
    a.create_time, a.currency_code, a.account_id, a.reservation_id, a.call_ids, a.budget_id, a.revision, a.percent,
    a.action, a.action_label, a.period_start, a.period_end, a.spent, a.held, a.limit_amount, a.available, a.amount,
    NULL, ''
FROM claimed
JOIN alerts AS a ON a.tenant_id = claimed.tenant_id AND a.sequence = claimed.sequence
ORDER BY a.sequence

-- name: settle
-- Only by whoever has the latest claim.
UPDATE alert_deliveries
SET
    state = %(state)s,
    next_time = clock_timestamp() + make_interval(secs => %(wait_s)s),
    attempt_time = clock_timestamp(),
    detail = %(detail)s
WHERE
    tenant_id = %(tenant)s
    AND channel_id = %(channel)s
    AND sequence = %(sequence)s
    AND state = 'PENDING'
    AND attempts = %(attempt)s

-- name: find_delivery
SELECT
    d.tenant_id, d.channel_id, d.sequence, a.alert_id, d.state, d.attempts, d.last_attempt, d.create_time, d.next_time,
    d.attempt_time, d.detail
FROM alerts AS a
JOIN alert_deliveries AS d ON d.tenant_id = a.tenant_id AND d.sequence = a.sequence
WHERE a.tenant_id = %(tenant)s AND a.alert_id = %(alert)s AND d.channel_id = %(channel)s

-- name: resend
UPDATE alert_deliveries
SET state = 'PENDING', last_attempt = attempts + %(attempts)s, next_time = clock_timestamp()
WHERE
    tenant_id = %(tenant)s
    AND channel_id = %(channel)s
    AND sequence = (SELECT sequence FROM alerts WHERE tenant_id = %(tenant)s AND alert_id = %(alert)s)
RETURNING 1

-- name: list_deliveries
-- Those of the newest alerts first. The filters are those below.
SELECT
    d.tenant_id, d.channel_id, d.sequence, a.alert_id, d.state, d.attempts, d.last_attempt, d.create_time, d.next_time,
    d.attempt_time, d.detail
FROM alert_deliveries AS d
JOIN alerts AS a ON a.tenant_id = d.tenant_id AND a.sequence = d.sequence
WHERE d.tenant_id = %(tenant)s {filters}
ORDER BY d.sequence DESC, d.channel_id DESC
LIMIT %(limit)s

-- name: deliveries_of_channel
AND d.channel_id = %(channel)s

-- name: deliveries_in_state
AND d.state = %(state)s

-- name: deliveries_before
AND (d.sequence, d.channel_id) < (%(sequence)s, %(last_channel)s)
