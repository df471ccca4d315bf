"""Routes as SVG: valid, self-contained, readable without colours, and nothing in it is markup."""

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from evomerge.recipes.drawing_svg import draw_svg
from tests.recipes.test_drawing import Steps, drawn, layers, steps

SVG = "{http://www.w3.org/2000/svg}"


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@given(steps)
def test_there_is_one_box_a_step_inside_the_picture(route: Steps) -> None:
    root = ElementTree.fromstring(draw_svg(drawn(route)))
    letters = {"a": "A", "b": "B", "mixed": "C"}
    boxes = [text for text in texts(root) if re.fullmatch(r"[ABC]\d+", text)]
    assert boxes == [f"{letters[step['source']]}{step['layer']}" for step in route]
    height = float(root.attrib["height"])
    for box in root.iter(f"{SVG}rect"):
        if box.get("class") == "ground":
            continue
        x, y, wide, high = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + wide <= float(root.attrib["width"])
        assert y + high <= height


def test_screen_readers_get_a_title_and_the_whole_route() -> None:
    found = drawn([*layers("a", 0, 1), *layers("b", 2, scale=0.9)])
    root = ElementTree.fromstring(draw_svg(found, "Candidate 2-15"))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert title is not None
    assert description is not None
    assert title.text == "Candidate 2-15"
    assert description.text == f"{found.title(names=True)}. {found.sentence()}"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_numbers_stand_beside_their_boxes() -> None:
    route = [*layers("a", 0, scale=0.9, qk=0.7), *layers("a", 1, qk=0.7, write=-2)]
    found = texts(ElementTree.fromstring(draw_svg(drawn(route))))
    assert found.count("0.9") == 1
    assert found.count("q 0.7") == 2
    assert found.count("w -2") == 1


@given(st.text())
def test_any_heading_gives_a_valid_file(heading: str) -> None:
    root = ElementTree.fromstring(draw_svg(drawn(layers("a", 0)), heading))
    assert root.tag == f"{SVG}svg"


def test_names_are_never_markup() -> None:
    name = "<script>alert('x')</script>&\x01]]>"
    ends = dict.fromkeys(("embedding", "norm", "head"), name)
    svg = draw_svg(drawn(layers(name, 0), sources=[name], **ends), name)
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert any("<script>alert('x')</script>&\ufffd]]>" in text for text in texts(root))


def test_nothing_is_fetched_and_both_colour_schemes_are_served() -> None:
    svg = draw_svg(drawn(layers("a", *range(50))))
    assert not re.search(r"href|url\(|@import|<script|<image", svg)
    assert "prefers-color-scheme: dark" in svg


def test_two_pictures_in_one_page_share_no_style() -> None:
    one, other = (draw_svg(drawn(layers("a", layer))) for layer in (0, 1))
    names = [re.findall(r'id="(route-\w+)"', svg)[0] for svg in (one, other)]
    assert names[0] != names[1]
    for svg, name in zip((one, other), names, strict=True):
        style = svg[svg.index("<style>") + 8 : svg.index("</style>")]
        rules = [line for line in style.splitlines() if "{" in line and not line.startswith("@")]
        assert rules
        assert all(line.startswith(f"#{name} ") for line in rules)


def test_text_on_every_colour_can_be_read() -> None:
    names = [f"s{index}" for index in range(9)]
    route = [step for name in names for step in layers(name, 0)]
    svg = draw_svg(drawn(route, sources=names, embedding="s0", norm="s0", head="s0"))
    fills = re.findall(r"\.c(\d) \{ fill: (#\w+); \}", svg)
    inks = dict(re.findall(r"\.t(\d) \{ fill: (#\w+); \}", svg))
    assert len(fills) == 8
    for index, fill in fills:
        # WCAG 2 asks for 4.5 between text and ground.
        assert contrast(fill, inks[index]) > 4.5


def contrast(one: str, other: str) -> float:
    lights = sorted((luminance(one), luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
