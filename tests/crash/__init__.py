"""No acknowledged operation is ever lost or doubled: load, faults, and a checker that compares books and journal.

- `load` and `journal`: callers who write down what they asked and what they were answered, and retry what they doubt.
- `expected` and `checker`: what the books must say, from the answers alone, against what they say.
- `proxy`, `cluster`, `serve`, `disturb`: what goes wrong meanwhile.
- `soak`: all of it for as long as you like; docs/CRASHES.md.
"""
