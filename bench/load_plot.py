"""bench/load.svg: rows a second over the size of the file, a line for each way in `load_points` of bench/results.json.

    python bench/load_plot.py

Each way is `{rows: rows per second}` under its name; add_points puts one in and draws anew.
"""

import json
from collections.abc import Mapping
from math import ceil, floor, log10

from read import HERE, RESULTS, merge

#: The docs' site shows only what lies in its own folder.
PLOTS = (HERE / "load.svg", HERE.parent / "docs/images/load.svg")
COLOURS = ("#1f6f8b", "#8bb8c8", "#b5651d", "#dcae82", "#5b7f3b", "#7a5195")
#: The drawing's area, in its own units.
LEFT, RIGHT, TOP, BOTTOM = 70, 600, 40, 270

TEXT = 'font-family="sans-serif" font-size="12" fill="#333"'

Points = Mapping[int, float]


def add_points(name: str, points: Points) -> None:
    known = _known()
    known[name] = {str(rows): round(rate) for rows, rate in sorted(points.items())}
    merge({"load_points": known})
    draw()


def draw() -> None:
    lines = {name: {int(rows): rate for rows, rate in points.items()} for name, points in _known().items()}
    for plot in PLOTS if lines else ():
        plot.write_text(svg(lines))


def _known() -> dict[str, dict[str, float]]:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found: dict[str, dict[str, float]] = results.get("load_points", {})
    return found


def svg(lines: Mapping[str, Points]) -> str:
    """Rows logarithmic, so that a flat line is linear growth."""
    sizes = sorted({rows for points in lines.values() for rows in points})
    top = _round(1.1 * max(rate for points in lines.values() for rate in points.values()))
    first, last = log10(sizes[0]), log10(sizes[-1])

    def place(rows: int, rate: float) -> tuple[float, float]:
        share = (log10(rows) - first) / (last - first or 1)
        return LEFT + 30 + (RIGHT - LEFT - 60) * share, BOTTOM - (BOTTOM - TOP) * rate / top

    marks = "".join(
        f'<text x="{place(rows, 0)[0]:.0f}" y="{BOTTOM + 18}" text-anchor="middle">{rows:,}</text>' for rows in sizes
    )
    marks += "".join(_level(share * top, place(sizes[0], share * top)[1]) for share in (0.25, 0.5, 0.75))
    drawn = "".join(
        _line(name, [(*place(rows, rate), rate) for rows, rate in sorted(points.items())], number)
        for number, (name, points) in enumerate(lines.items())
    )
    height = BOTTOM + 50 + 18 * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" {TEXT}>'
        f'<rect width="640" height="{height}" fill="#fff"/>'
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#999"/>{marks}{drawn}'
        f'<text x="{(LEFT + RIGHT) // 2}" y="{BOTTOM + 36}" text-anchor="middle">rows in the file (20 columns)</text>'
        f'<text x="{LEFT}" y="20">rows per second, file to finished DataStore table</text></svg>\n'
    )


def _round(rate: float) -> float:
    """The next number up with one digit and noughts."""
    step: float = 10 ** floor(log10(rate))
    return ceil(rate / step) * step


def _level(rate: float, y: float) -> str:
    return (
        f'<path d="M{LEFT} {y:.0f}H{RIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{rate:,.0f}</text>'
    )


def _line(name: str, spots: list[tuple[float, float, float]], number: int) -> str:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y, _ in spots)
    circles = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{colour}"/>' for x, y, _ in spots)
    x, y, rate = spots[-1]
    circles += f'<text x="{x:.0f}" y="{y - 9:.0f}" text-anchor="middle">{rate:,.0f}</text>'
    height = BOTTOM + 56 + 18 * number
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{circles}'
        f'<rect x="{LEFT}" y="{height - 9}" width="20" height="4" fill="{colour}"/>'
        f'<text x="{LEFT + 28}" y="{height - 2}">{name}</text>'
    )


if __name__ == "__main__":
    draw()
