"""Seconds as a person reads them: as on a clock, to the second, or to two digits."""


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; hours and days where there are any."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def exact(seconds: float) -> str:
    """What was measured: ``4.2 s``, ``3 min 20 s`` or ``5 h 12 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def rough(seconds: float) -> str:
    """What is forecast: ``40 s``, ``12 min``, ``7.5 h`` or ``3.1 d``."""
    for unit, length, upto in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < upto * length:
            count = seconds / length
            return f"{count:.1f} {unit}" if unit == "h" else f"{count:.0f} {unit}"
    return f"{seconds / 86400:.1f} d"
