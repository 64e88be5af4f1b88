from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_bundle import WORDS, make_tiny_bundle
from ticket_sentiment.model import runtime
from ticket_sentiment.model.runtime import Runtime

ALL = [word for words in WORDS.values() for word in words]
TEXTS = [" ".join(ALL[number : 2 * number + 1]) for number in range(len(ALL))]


@pytest.mark.parametrize("cores", [1, 2, 5, 40])
def test_a_table_on_all_cores_gets_the_answers_of_each_text_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(runtime, "usable_cores", lambda: cores)
    asked = Runtime(make_tiny_bundle(tmp_path / "bundle"))
    alone = np.concatenate([asked.logits([text]) for text in TEXTS])
    assert len({row.tobytes() for row in alone}) > 3
    assert asked.logits_of_table(TEXTS).tobytes() == alone.tobytes()
