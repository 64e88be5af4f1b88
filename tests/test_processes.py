import os
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


def test_a_terminal_that_lacks_a_character_ends_no_run() -> None:
    code = (
        "from ticket_sentiment.processes import lines_in_order; lines_in_order(); print('\\u22121.8 größer')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    assert done.stdout.decode("iso-8859-1") == "\\u22121.8 größer\n"
