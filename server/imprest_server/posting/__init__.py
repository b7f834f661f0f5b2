"""The only writer of money: a queue of operations, decided and written in batches. See README.md here."""
