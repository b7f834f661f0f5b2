"""Imprest server: a prepaid credit ledger behind gRPC, on Postgres."""

__version__ = "0.1.0"
