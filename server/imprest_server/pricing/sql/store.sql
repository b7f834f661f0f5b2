-- What posting batches and readers load of a tenant's prices, and what publishing adds. Columns stand in the order of
-- rows.py.
--
-- Rows carry the epoch they came with. All that a tenant's epoch counts is committed: epochs are given out under the
-- lock of the tenant's row. So whoever has read an epoch finds all rows up to it, in whatever snapshot.

-- name: read_epoch
SELECT price_epoch FROM tenants WHERE tenant_id = %(tenant)s

-- name: load_books
SELECT tenant_id, price_book_id, side, currency_code, display_name, account_id, create_time
FROM price_books
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_versions
SELECT price_book_id, version_id, number, epoch, effective_time, create_time
FROM price_versions
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_assignments
SELECT side, currency_code, account_id, price_book_id, epoch, effective_time
FROM price_assignments
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_exchange_rates
SELECT price_book_id, currency_code, trim_scale(rate), epoch, effective_time
FROM exchange_rates
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_subscriptions
SELECT subscription_id, account_id, plan_id, price_book_id, lines, start_time, epoch, create_time
FROM subscriptions
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_subscription_ends
SELECT subscription_id, end_time, epoch
FROM subscription_ends
WHERE tenant_id = %(tenant)s AND epoch > %(after)s AND epoch <= %(epoch)s
ORDER BY epoch

-- name: load_prices
SELECT
    found.version_id, found.meter, found.provider, found.model, found.destination_prefix, found.charge_model,
    trim_scale(found.unit_price), trim_scale(found.per_quantity), found.tiers, trim_scale(found.increment_first),
    trim_scale(found.increment_next), trim_scale(found.minimum_quantity), trim_scale(found.connect_fee),
    trim_scale(found.minimum_charge), trim_scale(found.maximum_charge), trim_scale(found.free_quantity),
    trim_scale(found.margin_percent), trim_scale(found.markup), found.source
FROM unnest(%(tenants)s::text[], %(versions)s::uuid[]) AS named (tenant_id, version_id)
CROSS JOIN LATERAL (
    SELECT
        version_id, meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity, tiers,
        increment_first, increment_next, minimum_quantity, connect_fee, minimum_charge, maximum_charge, free_quantity,
        margin_percent, markup, source
    FROM prices
    WHERE tenant_id = named.tenant_id AND version_id = named.version_id
    OFFSET 0
) AS found

-- name: insert_prices
INSERT INTO prices (
    tenant_id, version_id, meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity, tiers,
    increment_first, increment_next, minimum_quantity, connect_fee, minimum_charge, maximum_charge, free_quantity,
    margin_percent, markup, source
)
SELECT
    tenant_id, version_id, meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity,
    tiers::jsonb, increment_first, increment_next, minimum_quantity, connect_fee, minimum_charge, maximum_charge,
    free_quantity, margin_percent, markup, source
FROM unnest(
    %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[],
    %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::text[]
) AS new (
    tenant_id, version_id, meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity, tiers,
    increment_first, increment_next, minimum_quantity, connect_fee, minimum_charge, maximum_charge, free_quantity,
    margin_percent, markup, source
)

-- name: lock_tenant
-- By the same gate as posting batches, ledger load.sql lock_tenants: later ones queue up behind.
SELECT locked.price_epoch
FROM (
    SELECT %(tenant)s::text AS tenant_id, pg_advisory_xact_lock(hashtextextended(%(tenant)s::text, 0))
    OFFSET 0
) AS wanted
CROSS JOIN LATERAL (
    SELECT price_epoch
    FROM tenants
    WHERE tenant_id = wanted.tenant_id
    FOR UPDATE
) AS locked

-- name: clock
-- Not before the last change, also when the clock has stepped back: what is published later holds later.
SELECT greatest(clock_timestamp(), max(last.create_time))
FROM (
    SELECT create_time FROM price_books WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
    UNION ALL
    SELECT create_time FROM price_versions WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
    UNION ALL
    SELECT create_time FROM price_assignments WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
    UNION ALL
    SELECT create_time FROM exchange_rates WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
    UNION ALL
    SELECT create_time FROM subscriptions WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
    UNION ALL
    SELECT create_time FROM subscription_ends WHERE tenant_id = %(tenant)s AND epoch = %(epoch)s
) AS last

-- name: insert_book
INSERT INTO price_books (
    tenant_id, price_book_id, side, currency_code, display_name, account_id, epoch, create_time
)
VALUES (
    %(tenant)s, %(book)s, %(side)s, %(currency)s, %(display_name)s, %(account)s, %(epoch)s, %(create_time)s
)

-- name: insert_version
INSERT INTO price_versions (tenant_id, version_id, price_book_id, number, epoch, effective_time, create_time)
VALUES (%(tenant)s, %(version)s, %(book)s, %(number)s, %(epoch)s, %(effective_time)s, %(create_time)s)

-- name: insert_assignment
INSERT INTO price_assignments (
    tenant_id, epoch, side, currency_code, account_id, price_book_id, effective_time, create_time
)
VALUES (
    %(tenant)s, %(epoch)s, %(side)s, %(currency)s, %(account)s, %(book)s, %(effective_time)s, %(create_time)s
)

-- name: insert_exchange_rate
INSERT INTO exchange_rates (tenant_id, epoch, price_book_id, currency_code, rate, effective_time, create_time)
VALUES (%(tenant)s, %(epoch)s, %(book)s, %(currency)s, %(rate)s, %(effective_time)s, %(create_time)s)

-- name: set_epoch
UPDATE tenants SET price_epoch = %(epoch)s WHERE tenant_id = %(tenant)s

-- name: find_operation
SELECT fingerprint, denial_reason, payload
FROM operations
WHERE tenant_id = %(tenant)s AND kind = %(kind)s AND idempotency_key = %(key)s

-- name: insert_operation
INSERT INTO operations (tenant_id, kind, idempotency_key, fingerprint, denial_reason, payload, create_time)
VALUES (%(tenant)s, %(kind)s, %(key)s, %(fingerprint)s, %(denial_reason)s, %(payload)s, %(create_time)s)

-- name: last_number
SELECT coalesce(max(number), 0) FROM price_versions WHERE tenant_id = %(tenant)s AND price_book_id = %(book)s

-- name: find_override
SELECT tenant_id, price_book_id, side, currency_code, display_name, account_id, create_time
FROM price_books
WHERE
    tenant_id = %(tenant)s AND account_id = %(account)s AND side = %(side)s AND currency_code = %(currency)s

-- name: find_version
SELECT price_book_id, version_id, number, epoch, effective_time, create_time
FROM price_versions
WHERE tenant_id = %(tenant)s AND version_id = %(version)s

-- name: find_account
SELECT currency_code, parent_account_id, time_zone FROM accounts WHERE tenant_id = %(tenant)s AND account_id = %(account)s

-- name: load_counters
SELECT
    found.tenant_id, found.account_id, found.month, found.side, found.meter, found.provider, found.model,
    found.destination_prefix, trim_scale(found.quantity)
FROM unnest(
    %(tenants)s::text[], %(accounts)s::text[], %(months)s::date[], %(sides)s::text[], %(meters)s::text[],
    %(providers)s::text[], %(models)s::text[], %(prefixes)s::text[]
) AS named (tenant_id, account_id, month, side, meter, provider, model, destination_prefix)
CROSS JOIN LATERAL (
    SELECT tenant_id, account_id, month, side, meter, provider, model, destination_prefix, quantity
    FROM usage_counters
    WHERE
        tenant_id = named.tenant_id
        AND account_id = named.account_id
        AND month = named.month
        AND side = named.side
        AND meter = named.meter
        AND provider = named.provider
        AND model = named.model
        AND destination_prefix = named.destination_prefix
    LIMIT 1
) AS found

-- name: insert_plan
INSERT INTO plans (tenant_id, plan_id, display_name, currency_code, price_book_id, lines, create_time)
VALUES (
    %(tenant)s, %(plan)s, %(display_name)s, %(currency)s, %(book)s, %(lines)s, %(create_time)s
)

-- name: find_plan
SELECT plan_id, display_name, currency_code, price_book_id, lines, create_time
FROM plans
WHERE tenant_id = %(tenant)s AND plan_id = %(plan)s

-- name: list_plans
SELECT plan_id, display_name, currency_code, price_book_id, lines, create_time
FROM plans
WHERE tenant_id = %(tenant)s AND plan_id > %(after)s
ORDER BY plan_id
LIMIT %(limit)s

-- name: insert_subscription
INSERT INTO subscriptions (
    tenant_id, subscription_id, account_id, plan_id, price_book_id, lines, start_time, epoch, create_time,
    next_charge_time
)
VALUES (
    %(tenant)s, %(subscription)s, %(account)s, %(plan)s, %(book)s, %(lines)s, %(start_time)s, %(epoch)s,
    %(create_time)s, %(start_time)s
)

-- name: insert_subscription_end
INSERT INTO subscription_ends (tenant_id, epoch, subscription_id, end_time, create_time)
VALUES (%(tenant)s, %(epoch)s, %(subscription)s, %(end_time)s, %(create_time)s)

-- name: list_subscriptions
SELECT
    s.subscription_id, s.account_id, s.plan_id, s.price_book_id, s.lines, s.start_time, s.epoch, s.create_time,
    ended.end_time
FROM subscriptions AS s
LEFT JOIN LATERAL (
    SELECT end_time
    FROM subscription_ends
    WHERE tenant_id = s.tenant_id AND subscription_id = s.subscription_id
    ORDER BY epoch DESC
    LIMIT 1
) AS ended ON true
WHERE
    s.tenant_id = %(tenant)s
    AND (%(account)s::text IS NULL OR s.account_id = %(account)s)
    AND (%(subscription)s::text IS NULL OR s.subscription_id = %(subscription)s)
    AND s.subscription_id > %(after)s
ORDER BY s.subscription_id
LIMIT %(limit)s

-- name: due_subscriptions
-- In no order: those that cannot be charged must not stand before the others for ever.
SELECT
    s.subscription_id, s.account_id, s.lines, s.next_charge_time, a.time_zone,
    coalesce(ended.end_time <= s.next_charge_time, false)
FROM (
    SELECT tenant_id, subscription_id, account_id, lines, next_charge_time
    FROM subscriptions
    WHERE tenant_id = %(tenant)s AND next_charge_time <= (SELECT clock_timestamp())
    ORDER BY random()
    LIMIT %(limit)s
) AS s
INNER JOIN accounts AS a ON a.tenant_id = s.tenant_id AND a.account_id = s.account_id
LEFT JOIN LATERAL (
    SELECT end_time
    FROM subscription_ends
    WHERE tenant_id = s.tenant_id AND subscription_id = s.subscription_id
    ORDER BY epoch DESC
    LIMIT 1
) AS ended ON true

-- name: schedule_charge
UPDATE subscriptions
SET next_charge_time = %(next)s
WHERE
    tenant_id = %(tenant)s AND subscription_id = %(subscription)s AND next_charge_time = %(charged)s
