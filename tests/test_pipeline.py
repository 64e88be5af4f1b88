import subprocess
import sys

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.pipeline import reproduce

STAGE = """
stages:
  good:
    cmd: {python} -c "import sys; sys.stderr.write('half\\\\rwhole\\\\n'); open('good.txt','w').write('1')"
    outs: [good.txt]
  bad:
    cmd: {python} -c "import sys; print('error. params.yaml is wrong'.replace('.', ':', 1)); sys.exit(2)"
    always_changed: true
  silent:
    cmd: {python} -c "raise SystemExit(3)"
    always_changed: true
"""


@pytest.fixture
def repository(tmp_path):
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(STAGE.format(python=sys.executable))
    return tmp_path


def test_a_stage_runs_once_and_what_it_prints_is_passed_on(repository, capfd):
    reproduce("good", repository)
    assert (repository / "good.txt").read_text() == "1"
    assert "half\rwhole\n" in capfd.readouterr().out
    reproduce("good", repository)
    assert "didn't change, skipping" in capfd.readouterr().out


def test_the_error_of_a_stage_is_the_stage_s_own_line(repository):
    with pytest.raises(TicketSentimentError, match=r"^params\.yaml is wrong$"):
        reproduce("bad", repository)


def test_a_stage_that_says_nothing_is_named(repository):
    with pytest.raises(TicketSentimentError, match=r"`dvc repro silent` failed: .*silent"):
        reproduce("silent", repository)


@pytest.mark.parametrize("content", ["", '{"half":'])
def test_a_file_of_locks_that_a_kill_left_half_written_is_removed(repository, content):
    (repository / ".dvc/tmp").mkdir(exist_ok=True)
    (repository / ".dvc/tmp/rwlock").write_text(content)
    reproduce("good", repository)
    assert (repository / "good.txt").exists()
