"""The call centre of `examples/demo.py`: its calls, prices, customers, controllers and agents, and its own tally.

Read top-down: `demo.py` → `run.py` → `life.py` (what happens in one call) → `ledger.py` (the RPCs).
"""
