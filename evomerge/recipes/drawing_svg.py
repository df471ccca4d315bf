"""A route as a picture: one SVG file that needs nothing from outside, for reports and model cards.

It has a ground of its own, light or dark as the reader's system is, so that it can be read on any
page. Screen readers get a title and the whole route as text. Each box names its source, so that the
colours (those of Okabe and Ito, which colour-blind people tell apart) only help.
"""

import hashlib
import re
from html import escape

from evomerge.recipes.drawing import Drawing, Lane, Run, legend, short

_COLOURS = (
    ("#0072b2", "#fff"), ("#e69f00", "#000"), ("#009e73", "#000"), ("#cc79a7", "#000"),
    ("#56b4e9", "#000"), ("#d55e00", "#000"), ("#f0e442", "#000"), ("#8c8c8c", "#000"),
)  # fmt: skip
"""Fill and text; a ninth source begins anew and is told by its letter."""

# In pixels.
_WIDTH, _MARGIN, _GUTTER = 960, 20, 40
_LEFT = _MARGIN + _GUTTER
_BOX, _HEIGHT, _JOINT, _GAP = 44, 26, 2, 22
_LINE, _TICK, _CHAR = 17, 14, 7.4
_TICKS = 60
_LONGEST = 115
"""Characters of a line that fit."""

_SQUARES = "Squares: a layer each; dashed ones are skipped, a number tells how often one is taken."

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML can't hold, however it is written."""

_STYLE = """\
#ID { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
#ID .ground { fill: #fff; }
#ID text { fill: #1f2328; }
#ID .heading { font-size: 15px; font-weight: bold; }
#ID .middle { text-anchor: middle; }
#ID .end { text-anchor: end; }
#ID .line { stroke: #59636e; stroke-width: 1.5; fill: none; }
#ID .skipped { stroke: #818b98; stroke-dasharray: 2 2; fill: none; }
@media (prefers-color-scheme: dark) {
#ID .ground { fill: #0d1117; }
#ID text { fill: #f0f6fc; }
#ID .line { stroke: #9198a1; }
#ID .skipped { stroke: #767d86; }
}
"""


def draw_svg(drawing: Drawing, heading: str | None = None) -> str:
    """Return the drawing as the text of an SVG file.

    Args:
        drawing: The route.
        heading: What stands above it, as a candidate's name; nothing if None.
    """
    picture = _Picture()
    for line, kind in ((heading, "heading"), (drawing.title(names=True), "")):
        if line:
            picture.text(_MARGIN, picture.y + 12, line, kind)
            picture.y += _LINE + 4
    picture.y += 6
    _add_flow(picture, drawing)
    signs = [*legend(drawing, scale=" above ", qk="q below", write="w below"), _SQUARES]
    for line in signs:
        picture.text(_MARGIN, picture.y + 12, line)
        picture.y += _LINE
    picture.y += 10
    for lane in drawing.lanes:
        _add_lane(picture, lane)
    return picture.svg(heading or "Route", f"{drawing.title(names=True)}. {drawing.sentence()}")


class _Picture:
    """What has been drawn, and how far down it reaches."""

    def __init__(self) -> None:
        self.y = float(_MARGIN)
        self._parts: list[str] = []
        self._colours: set[int] = set()

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Write one line whose foot is at ``y``; what is too long for the picture is cut."""
        cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        label = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text x="{x:g}" y="{y:g}"{label}>{_safe(cut)}</text>')

    def box(self, lane: Lane, x: float, y: float, width: float, height: float, text: str) -> None:
        """Draw a box in the colour of ``lane`` with a text in it."""
        colour = lane.index % len(_COLOURS)
        self._colours.add(colour)
        self._parts.append(
            f'<rect class="c{colour}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            'rx="3"/>'
        )
        if text:
            self.text(x + width / 2, y + height / 2 + 4, text, f"middle t{colour}")

    def path(self, path: str, kind: str) -> None:
        """Draw a line."""
        self._parts.append(f'<path class="{kind}" d="{path}"/>')

    def svg(self, title: str, description: str) -> str:
        """Return the file's text."""
        body = "\n".join(self._parts)
        # Several pictures may stand in one page, whose ids and styles are common to all.
        name = "route-" + hashlib.sha256((title + body).encode()).hexdigest()[:12]
        used = [(i, *_COLOURS[i]) for i in sorted(self._colours)]
        inks = "".join(
            f"#ID .c{i} {{ fill: {fill}; }}\n#ID text.t{i} {{ fill: {ink}; }}\n"
            for i, fill, ink in used
        )
        height = self.y + _MARGIN
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" width="{_WIDTH}" '
            f'height="{height:g}" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
            f'aria-labelledby="{name}-title {name}-desc">\n'
            f'<title id="{name}-title">{_safe(title)}</title>\n'
            f'<desc id="{name}-desc">{_safe(description)}</desc>\n'
            f"<style>\n{(_STYLE + inks).replace('#ID', f'#{name}')}</style>\n"
            f'<rect class="ground" width="100%" height="100%"/>\n{body}\n</svg>\n'
        )


def _safe(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _add_flow(picture: _Picture, drawing: Drawing) -> None:
    """Draw a box a step, those of one run side by side, over as many rows as they need."""
    above = _LINE if any(run.scale != 1 for run in drawing.runs) else 0
    notes = [name for name in ("qk", "write") if any(getattr(r, name) != 1 for r in drawing.runs)]
    row = above + _HEIGHT + len(notes) * _LINE + 14
    x = float(_LEFT)

    def place(width: float, *, joined: bool, number: int) -> None:
        """Make room for the next box, with an arrow before it unless it's joined to the last."""
        nonlocal x
        if not joined:
            picture.path(_arrow(x + 3, picture.y + above + _HEIGHT / 2), "line")
            x += _GAP
        elif x > _LEFT:
            x += _JOINT
        if x + width > _WIDTH - _MARGIN - _GAP:
            x, picture.y = float(_LEFT), picture.y + row
            foot = picture.y + above + _HEIGHT / 2 + 4
            if number:
                picture.text(_LEFT - 8, foot, str(number), "end")

    def add(lane: Lane, text: str) -> None:
        nonlocal x
        width = max(_BOX, len(text) * _CHAR + 12)
        picture.box(lane, x, picture.y + above, width, _HEIGHT, text)
        x += width

    add(drawing.embedding, f"embedding {drawing.embedding.letter}")
    number = 0
    for run in drawing.runs:
        for layer in list(range(run.start, run.stop)) * run.times:
            number += 1
            place(_BOX, joined=layer > run.start, number=number)
            _add_numbers(picture, run, notes, x + _BOX / 2, above, first=layer == run.start)
            add(run.lane, f"{run.lane.letter}{layer}")
    for name, lane in drawing.ends():
        place(len(name) * _CHAR + 40, joined=False, number=0)
        add(lane, f"{name} {lane.letter}")
    picture.y += row + 6


def _add_numbers(
    picture: _Picture, run: Run, notes: list[str], x: float, above: int, *, first: bool
) -> None:
    """Write what isn't 1: the scale above the run's first box, qk and write below every box."""
    if first and run.scale != 1:
        picture.text(x, picture.y + above - 5, short(run.scale), "middle")
    for place, name in enumerate(notes):
        if (value := getattr(run, name)) != 1:
            foot = picture.y + above + _HEIGHT + (place + 1) * _LINE - 3
            picture.text(x, foot, f"{name[0]} {short(value)}", "middle")


def _arrow(x: float, y: float) -> str:
    return f"M{x:g} {y:g}h{_GAP - 8}m-5 -4l5 4l-5 4"


def _add_lane(picture: _Picture, lane: Lane) -> None:
    """Draw what is taken of a source: a square a layer, with a number where it is taken often."""
    note = f" ({lane.note})" if lane.note else ""
    picture.box(lane, _MARGIN, picture.y, 26, 18, lane.letter)
    picture.text(_LEFT, picture.y + 13, f"{lane.name}{note}: {lane.facts()}")
    picture.y += 24
    for first in range(0, len(lane.counts), _TICKS):
        picture.text(_LEFT - 8, picture.y + 11, str(first), "end")
        for place, count in enumerate(lane.counts[first : first + _TICKS]):
            x = _LEFT + place * _TICK + place // 10 * 5
            if count:
                often = str(count) if 1 < count < 10 else "+" if count > 1 else ""
                picture.box(lane, x, picture.y, _TICK - 2, _TICK - 2, often)
            else:
                side = _TICK - 3
                picture.path(f"M{x + 0.5} {picture.y + 0.5}h{side}v{side}h-{side}z", "skipped")
        picture.y += _TICK + 4
    picture.y += 6
