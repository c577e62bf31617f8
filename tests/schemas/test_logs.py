"""Log lines for machines say which job and trace they are about."""

import json
import logging
import threading

from schemas.logs import JsonLines, about


def line(message: str = "told") -> dict[str, object]:
    record = logging.LogRecord("a.logger", logging.INFO, "file.py", 1, message, (), None)
    return dict(json.loads(JsonLines().format(record)))


def test_lines_in_a_block_are_about_its_job() -> None:
    with about(job_id="j1", trace_id="t1"):
        with about(job_id="j2"):
            assert (line()["job_id"], line()["trace_id"]) == ("j2", "t1")
        assert line()["job_id"] == "j1"
    assert "job_id" not in line()


def test_facts_that_are_not_known_are_left_out() -> None:
    with about(job_id="j1", trace_id=""):
        assert "trace_id" not in line()


def test_other_threads_are_about_other_things() -> None:
    found: list[dict[str, object]] = []
    with about(job_id="j1"):
        thread = threading.Thread(target=lambda: found.append(line()))
        thread.start()
        thread.join()
    assert "job_id" not in found[0]
