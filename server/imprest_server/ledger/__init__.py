"""Accounts, books, reservations, transactions: their rules (pure) and their tables. See README.md here."""
