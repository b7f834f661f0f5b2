"""Prices: price books and their versions, matching, rating, quotes. README.md says what it owns."""
