"""The page of a resource."""

from datetime import timedelta

from gateway.clock import now
from tests.ui.conftest import Many, Visitor


def load(number: int, columns: dict[str, str] | None, **more: object) -> dict[str, object]:
    data = (
        {"rows": 100 * number, "columns": [{"name": name, "ckan": kind} for name, kind in columns.items()]} if columns else None
    )
    moment = now() - timedelta(hours=100 - number)
    return {"job_id": f"load{number}", "requested_at": moment, "resource_id": "res", "data": data,
            "state": "complete" if columns else "error", **more}  # fmt: skip


def test_loads_tell_how_columns_changed(ui: Visitor, many: Many) -> None:
    first = {"a": "text", "b": "numeric"}
    many.jobs(load(1, first), load(2, first), load(3, None, error_text="was a PDF"), load(4, {"a": "timestamp", "c": "text"}))
    page = ui.page("/resource?id=res")
    assert "new: c gone: b a: text → timestamp" in page.text
    assert "was a PDF" in page.text and "none" in page.text
    assert "At most 400 rows" in page.text and page.count("svg", "chart") == 1
    assert "Columns of the newest load Column Type a timestamp c text" in page.text


def test_a_resource_that_nobody_knows_is_not_found(ui: Visitor) -> None:
    for query in ("?id=nothing", "", "?id=%00"):
        assert "No job of this resource is known" in ui.page(f"/resource{query}", 404).text
