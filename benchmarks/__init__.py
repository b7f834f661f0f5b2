"""How fast Imprest is, and where the time goes: `make bench`. See README.md here."""
