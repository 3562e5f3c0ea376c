"""The frontier as a browser draws it: what can be read, and what stands for what."""

import re
from pathlib import Path

import pytest
from browser import chromium

from wg2.evaluation.frontier import frontier_svg
from wg2.evaluation.quality import Estimate, Point

STEPS = {1000: (22.0, 0.14), 50: (1.1, 0.15), 25: (0.56, 0.16), 12: (0.28, 0.20), 6: (0.15, 0.30)}
"""The job's default steps: their speed, and their word error rate."""
MANNERS = {"ddpm": (1.0, 0.0), "unipc": (1.05, 0.01), "ddpm, true durations": (0.98, 0.04)}

OVERLAPS = """(() => {
  const boxes = [...document.querySelectorAll('svg text')].map(
    node => [node.textContent, node.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([name, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) found.push(name + ' / ' + other); }));
  const all = document.querySelector('svg').getBoundingClientRect();
  const outside = boxes.filter(([, box]) => box.right > all.right + 1 || box.left < all.left - 1).map(([name]) => name);
  return { found, outside, count: boxes.length }; })()"""


def _estimate(mean: float) -> Estimate:
    return Estimate(mean, mean - 0.02, mean + 0.02, 8)


def _points(*manners: str) -> list[Point]:
    return [Point(manner, steps, rtf * MANNERS[manner][0],
                  {name: _estimate(wer - MANNERS[manner][1]) for name in ("wer", "dnsmos", "mcd")})
            for manner in manners for steps, (rtf, wer) in STEPS.items()]  # fmt: skip


LEVELS = (("recording", {"wer": _estimate(0.12)}), ("Tacotron 2 + WaveRNN", {"wer": _estimate(0.155)}))


@pytest.mark.parametrize("manners", [("ddpm",), tuple(MANNERS)], ids=["one", "three"])
def test_no_two_words_of_the_default_steps_lie_over_each_other_nor_beyond_the_edge(manners: tuple, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><body style='font-family: sans-serif'>{frontier_svg(_points(*manners), LEVELS)}")
    with chromium(tmp_path) as tab:
        tab.open(page.as_uri())
        seen = tab.evaluate(OVERLAPS)
    assert seen["count"] > 40
    assert (seen["found"], seen["outside"]) == ([], [])


def _texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize(
    "rtfs", [(0.076, 0.101), (0.21, 0.47), (0.9, 1.1), (0.3, 2.9), (0.02, 45.0), (0.31,)], ids=lambda rtfs: str(rtfs)
)
def test_every_axis_of_speeds_has_two_ticks_or_more_but_not_many(rtfs: tuple[float, ...]):
    found = {"wer": _estimate(0.3)}
    svg = frontier_svg([Point("ddpm", 6 + place, rtf, found) for place, rtf in enumerate(rtfs)], ())
    ticks = re.findall(r'<g id="xtick_\d+">.*?<text[^>]*>([^<]*)</text>', svg.split('id="axes_2"')[0], re.DOTALL)
    assert 2 <= len(ticks) <= 6
    assert len(set(ticks)) == len(ticks)
    assert all(float(tick) > 0 for tick in ticks)


def test_points_are_named_by_their_steps_alone_once_where_lines_are_close():
    texts = _texts(frontier_svg(_points("ddpm"), ()))
    panels = 3
    assert all(texts.count(str(steps)) == 2 * panels for steps in STEPS)  # at a point, and as a tick below
    assert not [text for text in texts if " steps" in text and text != "denoising steps"]
    several = _texts(frontier_svg(_points(*MANNERS), ()))
    assert all(panels <= several.count(str(steps)) <= 2 * panels for steps in STEPS)


def test_each_manner_has_its_own_line_and_name_and_other_systems_are_named_levels():
    levels = (*LEVELS, ("_a $x$ <b>", {"wer": _estimate(0.2)}))
    svg = frontier_svg(_points(*MANNERS), levels)
    for name in (*MANNERS, "recording", "Tacotron 2 + WaveRNN", " _a $x$ &lt;b&gt;"):
        assert _texts(svg).count(name) == 1, name
    lines = re.findall(
        r'<path d="(M [^"]*)" clip-path="[^"]*" style="fill: none; stroke: (#\w+); stroke-width: 1.5', svg
    )
    assert len(lines) == 2 * 3 * len(MANNERS)
    assert {line.count("L") for line, _ in lines} == {len(STEPS) - 1}
    assert len({colour for _, colour in lines}) == len(MANNERS)


def test_one_line_alone_needs_no_legend_and_no_points_are_no_picture():
    assert "ddpm" not in _texts(frontier_svg(_points("ddpm"), ()))
    assert frontier_svg((), LEVELS) == ""
