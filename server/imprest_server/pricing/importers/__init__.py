"""Price files of others, read into prices: pure functions from a file's content. docs/PRICES.md has the formats."""
