import subprocess
import sys

import pytest

CYCLE = """
import atexit
from ticket_sentiment.processes import few_collections

class Noisy:
    def __del__(self):
        print("collected")

{few}
atexit.register(print, "ended")
noisy = Noisy()
noisy.self = noisy
del noisy
"""


@pytest.mark.parametrize(("few", "said"), [("", "ended collected"), ("few_collections()", "ended")])
def test_a_short_process_does_not_look_for_cycles_when_it_ends(few: str, said: str) -> None:
    code = CYCLE.format(few=few)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == said.split()
