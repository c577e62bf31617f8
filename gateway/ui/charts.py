"""Charts as inline SVG, drawn on the server. Colours are the style sheet's, by class: the policy allows no style in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from gateway.ui.queries import Ended

#: Units of the drawing; it is stretched to its place.
WIDTH, HEIGHT = 600, 100
#: Of a bar's room.
FILLED = 0.8


@dataclass(frozen=True, slots=True)
class Bar:
    """One moment of a chart: what is told of it, and its parts from the bottom up, (class, amount)."""

    words: str
    parts: tuple[tuple[str, float], ...]

    @property
    def amount(self) -> float:
        return sum(amount for _, amount in self.parts)


def edges(since: datetime, until: datetime, width: timedelta) -> list[datetime]:
    """Where spans of *width* begin that cover *since* to *until*, and where the last one ends; at full minutes and hours."""
    first = since - (since - datetime.min) % width
    return [first + number * width for number in range((until - first) // width + 2)]


def bars(title: str, shown: Sequence[Bar]) -> Markup:
    """A bar chart; each bar tells its words when it is pointed at. *title* is what a screen reader says of the whole."""
    top = max((bar.amount for bar in shown), default=0) or 1
    room = WIDTH / max(len(shown), 1)
    drawn = Markup("").join(_drawn(bar, number * room, room, top) for number, bar in enumerate(shown))
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>{}</svg>'
    ).format(WIDTH, HEIGHT, title, WIDTH, HEIGHT / 2, HEIGHT / 2, drawn)


def _drawn(bar: Bar, left: float, room: float, top: float) -> Markup:
    """The whole height is there to be pointed at, however low the bar is."""
    pieces, bottom = [], float(HEIGHT)
    for kind, amount in bar.parts:
        height = amount / top * HEIGHT
        if height:
            height = max(height, 1.5)
            bottom -= height
            pieces.append(_rect(kind, left + room * (1 - FILLED) / 2, max(bottom, 0), room * FILLED, height))
    return Markup("<g><title>{}</title>{}{}</g>").format(
        bar.words, _rect("touch", left, 0, room, HEIGHT), Markup("").join(pieces)
    )


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>').format(
        escape(kind), x, y, width, height
    )


def ended_bars(shown: Sequence[Ended]) -> list[Bar]:
    return [
        Bar(
            _words(each),
            (("complete", each.complete), ("failed", each.failed), ("cancelled", each.cancelled)),
        )
        for each in shown
    ]


def failed_bars(shown: Sequence[Ended]) -> list[Bar]:
    return [Bar(_words(each), (("failed", each.failed),)) for each in shown]


def _words(span: Ended) -> str:
    cancelled = f", {span.cancelled} cancelled" if span.cancelled else ""
    return f"{span.start:%d %b %H:%M}: {span.complete} complete, {span.failed} failed{cancelled}"
