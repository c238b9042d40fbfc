"""When Python looks for garbage."""

import subprocess
import sys

LOOK = """
import gc
usual = gc.get_threshold()
from dbot.base import garbage
garbage.seldom()
assert gc.isenabled() and gc.get_threshold()[0] == garbage.SELDOM > usual[0]
loaded = [[] for _ in range(1000)]
garbage.as_usual()
assert gc.get_threshold() == usual and gc.get_freeze_count() >= 1000
left = []
left.append(left)
del left
assert gc.collect() == 1
"""


def test_seldom_while_modules_load_and_as_usual_afterwards() -> None:
    subprocess.run([sys.executable, "-c", LOOK], check=True)
