"""The kinds of job there are: whatever the modules of this package define."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from dbot import jobs
from dbot.jobs.kind import Kind


@cache
def kinds() -> Mapping[str, Kind]:
    """By name, every kind of job, in the order in which they are listed."""
    modules = [importlib.import_module(f"{jobs.__name__}.{found.name}") for found in pkgutil.iter_modules(jobs.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Kind)]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.order, kind.name))}
