"""Budgets, their counters, and the alerts of an account's life. README.md says what it owns."""
