"""The page in a real browser, from the disk, without network, with WebGL in software."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, find_browser
from tests.small_gallery import write_results
from tests.small_world import toy_reconstructor

PROGRAM = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no chromium or chrome on the search path"),
]

FACES = 40
# Pixels of the first head that are not empty, and a number that changes with any of its colours.
INK = """(() => {
  const canvas = document.querySelectorAll('canvas.head')[%d];
  if (!canvas || !canvas.width) return [0, 0];
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0, sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    count += data[i + 3] > 128;
    sum = (sum * 31 + data[i] + 3 * data[i + 1] + 7 * data[i + 2]) %% 1000003;
  }
  return [count, sum];
})()"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder, toy_reconstructor(), faces=FACES)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, output: Path) -> Iterator[Browser]:
    assert PROGRAM
    with Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, output: Path) -> Browser:
    """The page, loaded anew, with its first head drawn."""
    browser.ask("Page.navigate", url="about:blank")
    browser.open((output / "index.html").as_uri())
    browser.wait(f"({INK % 0})[0] > 0")
    return browser


def ink(page: Browser) -> tuple[int, int]:
    """What the first head looks like, when it has come to rest."""
    before = None
    while (now := tuple(page.evaluate(INK % 0))) != before:
        before = now
        # Two pictures later, however slow the machine.
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.evaluate("new Promise((done) => setTimeout(done, 150))")
    return now


def middle(page: Browser) -> tuple[float, float]:
    box = "document.querySelector('canvas.head').getBoundingClientRect()"
    return page.evaluate(f"{box}.left + {box}.width / 2"), page.evaluate(f"{box}.top + {box}.height / 2")


def test_a_head_is_drawn_and_turns(page: Browser) -> None:
    start = ink(page)
    assert start[0] > 1000
    x, y = middle(page)
    page.mouse("mousePressed", x, y, pressed=True)
    page.mouse("mouseMoved", x + 60, y, pressed=True)
    page.mouse("mouseReleased", x + 60, y)
    turned = ink(page)
    assert turned != start
    # From the side the toy head is wider.
    assert turned[0] > start[0]
    page.mouse("mouseMoved", 2, 2)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    assert ink(page)[0] > 1.2 * turned[0]
    page.evaluate("document.querySelector('canvas.head').dispatchEvent(new MouseEvent('dblclick'))")
    page.mouse("mouseMoved", 2, 2)
    assert ink(page) == start


def test_it_follows_the_mouse_and_goes_back(page: Browser) -> None:
    start = ink(page)
    x, y = middle(page)
    page.mouse("mouseMoved", x, y)
    page.mouse("mouseMoved", x + 80, y + 20)
    assert ink(page) != start
    page.mouse("mouseMoved", 2, 2)
    assert ink(page) == start


def test_keys_and_buttons(page: Browser) -> None:
    start = ink(page)
    press = (
        "document.querySelector('canvas.head').dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
    )
    page.evaluate(press % "ArrowLeft")
    assert ink(page) != start
    page.evaluate(press % "0")
    assert ink(page) == start
    page.evaluate(press % "c")
    clay = ink(page)
    assert clay[0] == start[0]
    assert clay[1] != start[1]
    page.evaluate("document.querySelector('[data-mode=unlit]').click()")
    unlit = ink(page)
    assert unlit[0] == start[0]
    assert unlit[1] not in (start[1], clay[1])
    page.evaluate("document.querySelector('[data-mode=lit]').click()")
    assert ink(page) == start


def test_the_lamp_is_dragged(page: Browser) -> None:
    start = ink(page)
    box = "document.querySelector('.lamp').getBoundingClientRect()"
    x, y = page.evaluate(f"{box}.left + 5"), page.evaluate(f"{box}.top + 5")
    page.mouse("mousePressed", x, y, pressed=True)
    page.mouse("mouseMoved", x + 60, y + 30, pressed=True)
    page.mouse("mouseReleased", x + 60, y + 30)
    page.mouse("mouseMoved", 2, 2)
    moved = ink(page)
    assert moved[0] == start[0]
    assert moved[1] != start[1]


def test_sliders_move_the_face_and_neutral_is_rest(page: Browser) -> None:
    start = ink(page)
    page.evaluate("document.querySelector('details.expressions').open = true")
    page.wait("document.querySelectorAll('.sliders input').length === 52")
    page.evaluate("document.querySelector('[data-expression=neutral]').click()")
    neutral = ink(page)
    assert neutral != start
    move = (
        "(s => { s.value = 1; s.dispatchEvent(new Event('input')); })(document.querySelectorAll('.sliders input')[20])"
    )
    page.evaluate(move)
    assert ink(page) != neutral
    page.evaluate("document.querySelector('[data-expression=photograph]').click()")
    assert ink(page) == start


def test_many_heads_are_read_when_they_come_into_view(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('canvas.head').length") == FACES
    read = "document.querySelectorAll('head script').length - 1"
    assert page.evaluate(read) < FACES / 2
    assert page.evaluate("document.querySelectorAll('canvas.head')[39].width") == 0
    page.evaluate("document.querySelectorAll('canvas.head')[39].scrollIntoView()")
    page.wait(f"({INK % 39})[0] > 1000")
    page.wait("document.querySelectorAll('canvas.head')[0].width === 0")
    page.evaluate("document.querySelectorAll('canvas.head')[0].scrollIntoView()")
    page.wait(f"({INK % 0})[0] > 1000")


def test_without_webgl_the_pictures_are_there(output: Path, tmp_path: Path) -> None:
    assert PROGRAM
    with Browser(PROGRAM, tmp_path, "--disable-3d-apis") as plain:
        plain.open((output / "index.html").as_uri())
        plain.wait("document.querySelector('.overlay img').naturalWidth > 0")
        assert plain.evaluate("document.querySelectorAll('canvas').length") == 0


def test_without_a_faces_script_its_picture_stays(browser: Browser, output: Path) -> None:
    page = output / "index.html"
    broken = output / "broken.html"
    broken.write_text(page.read_text(encoding="utf-8").replace("face0/viewer.js", "face0/gone.js"), encoding="utf-8")
    browser.open(broken.as_uri())
    browser.wait("document.querySelectorAll('.face.live').length === 39")
    browser.wait("document.querySelector('.overlay img').naturalWidth > 0")


def test_until_a_head_is_drawn_its_picture_stands_in_for_it(browser: Browser, output: Path) -> None:
    (output / "slow.js").write_text("")
    page = (output / "index.html").read_text(encoding="utf-8")
    first = page.index('data-viewer="') + len('data-viewer="')
    page = page[:first] + "slow.js" + page[page.index('"', first) :]
    (output / "slow.html").write_text(page, encoding="utf-8")
    browser.open((output / "slow.html").as_uri())
    browser.wait(f"({INK % 1})[0] > 0")
    cards = "[...document.querySelectorAll('.face')].slice(0, 2)"
    assert browser.evaluate(f"{cards}.map((card) => card.classList.contains('waiting'))") == [True, False]
    pictures = browser.evaluate(f"{cards}.map((card) => card.querySelector('canvas').style.backgroundImage)")
    assert "overlay.jpg" in pictures[0]
    assert pictures[1] == ""


def test_without_the_shared_script_the_pictures_are_there(browser: Browser, output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "copy", ignore=shutil.ignore_patterns("head.js"))
    browser.open((tmp_path / "copy" / "index.html").as_uri())
    browser.wait("document.querySelectorAll('canvas, .live').length === 0")
    browser.wait("document.querySelector('.overlay img').naturalWidth > 0")
