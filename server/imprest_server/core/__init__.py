"""Pure building blocks: money, identifiers, errors, paging. Standard library only."""
