"""How often a server looks for garbage in cycles. Nearly all of its objects are freed without that."""

from __future__ import annotations

import gc
from typing import Final

#: Containers made, less those freed, between two looks at the youngest; looks at one generation per look at the next.
#: A batch makes tens of thousands that all live until it ends: Python's own 700 looks through them again and again.
THRESHOLDS: Final = (50_000, 20, 50)


def collect_seldom() -> None:
    """Leave what has been loaded so far out of every search, and search less often. For the whole process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
