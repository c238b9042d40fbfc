"""When Python looks for garbage: seldom while modules load, as usual while something is trained.

What modules make stays to the end. To look through it, again and again as it grows, takes a fifth of a start.
"""

import gc

SELDOM = 50_000
"""Objects that are made, less those that are freed, before Python looks for garbage."""
_USUAL = gc.get_threshold()


def seldom() -> None:
    """Ask for it at the start."""
    gc.set_threshold(SELDOM)


def as_usual() -> None:
    """Look often again, but never at what is there already: its garbage, if any, stays."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
