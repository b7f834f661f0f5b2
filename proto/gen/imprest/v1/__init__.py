"""Version 1 of the Imprest API."""
