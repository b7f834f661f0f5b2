"""Scenario tables: operations and the balances after each, run against any implementation of the ledger.

`loader` reads the tables, `runner` plays a scenario through an adapter (`contract.Adapter`) and compares,
`compare` plays one random program through two adapters and reports the first difference.
"""
