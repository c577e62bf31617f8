import subprocess
import sys
from pathlib import Path

from consumer.scratch import PREFIX, Scratch

KILLED = """
import os, signal, sys
from pathlib import Path
from consumer.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
with scratch.job_folder() as folder:
    (folder / "half").write_text("a download")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_jobs_folder_is_gone_after_it(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    with scratch.job_folder() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert not folder.exists()
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_is_removed_by_the_next(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.glob(f"{PREFIX}*/job-*/half"))) == 1
    scratch = Scratch(tmp_path)
    assert list(tmp_path.iterdir()) == [scratch.folder]
    scratch.close()


def test_the_folder_of_a_living_worker_stays(tmp_path: Path) -> None:
    living = Scratch(tmp_path)
    with living.job_folder() as folder:
        Scratch(tmp_path).close()
        assert folder.exists()
    living.close()
