"""The page in a real browser without a network: both colour schemes, wide and narrow."""

import json
import shutil

import evaluated
import pytest
import tuning_study
from selenium import webdriver
from selenium.webdriver.common.by import By

from trainer.evaluation import comparison, contenders
from trainer.report import comparison_page, tuning_page
from trainer.report.build import build

pytestmark = pytest.mark.browser

WIDTHS = (1400, 380)
SCHEMES = ("light", "dark")
INSTALL = "the report's browser tests need Chromium and its driver: apt-get install chromium chromium-driver"

VISIBLE_TEXTS = """
return [...document.querySelectorAll('.chart svg')].filter(svg => svg.getBoundingClientRect().width > 0).map(svg =>
  [svg.closest('figure').id, [...svg.querySelectorAll('text')].map(text => {
    const box = text.getBoundingClientRect();
    return [text.textContent, box.left, box.top + 0.2 * box.height, box.right, box.bottom - 0.2 * box.height];
  })])
"""

# WCAG 2.2, contrast ratio (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio) of each text with what lies behind it.
LEAST_CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = rgb => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
const parse = colour => colour.match(/[0-9.]+/g).map(Number);
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const rgba = parse(getComputedStyle(e).backgroundColor);
    if (rgba.length < 4 || rgba[3] > 0) return rgba;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || element.closest('#policy svg, style')) continue;
  if (!element.getBoundingClientRect().width) continue;
  const style = getComputedStyle(element);
  const colour = element.closest('svg') ? style.fill : style.color;
  const [one, other] = [luminance(parse(colour)), luminance(behind(element))];
  found.push([(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), walker.currentNode.textContent]);
}
return found.sort((a, b) => a[0] - b[0])[0];
"""


def executable(*names):
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(f"{' or '.join(names)} is not installed; {INSTALL}", pytrace=False)
    return found


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = executable("chromium", "chromium-browser", "google-chrome")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
    ):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(executable("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, run_writers):
    """One page of each sort."""
    folder = tmp_path_factory.mktemp("runs")
    return {name: build(write(folder / name)) for name, write in run_writers.items()} | {
        "comparison": compared(folder),
        "study": searched(folder),
    }


def compared(folder):
    """A page that compares three groups of runs."""
    names = ("lost-sales-ppo-20261123", "lost-sales-ppo-wider", "lost-sales-ppo-schedule")
    groups = [
        evaluated.write(folder / "store", name, evaluated.scores(mean, 5, seed=seed))
        for seed, (name, mean) in enumerate(zip(names, (4.6, 4.2, 4.58), strict=True))
    ]
    page = folder / "comparison.html"
    page.write_text(comparison_page.render(comparison.compare(contenders.read(groups))))
    return page


def searched(folder):
    """A page about a study."""
    with tuning_study.study(folder / "study") as made:
        tuning_study.work(made, 12)
        page = folder / "study.html"
        page.write_text(tuning_page.render(made))
    return page


PAGES = ("complete", "episodic", "group", "running", "comparison", "study")


@pytest.fixture(params=[(page, width, scheme) for page in PAGES for width in WIDTHS for scheme in SCHEMES], ids=str)
def shown(request, browser, pages):
    """A page, loaded at a width in a colour scheme, with the logs emptied before."""
    page, width, scheme = request.param
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(pages[page].as_uri())
    return page, width, scheme


def test_the_page_looks_right(browser, shown):
    page, width, scheme = shown
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert sum(url.startswith("file:") for url in asked) == 1

    inner, visible, needed = browser.execute_script(
        "const page = document.documentElement; return [innerWidth, page.clientWidth, page.scrollWidth]"
    )
    assert inner == width
    tables = browser.find_elements(By.CSS_SELECTOR, ".scroll")
    if width == 1400:
        assert all(
            browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", t) for t in tables
        )
    assert needed == visible  # nothing to scroll sideways; they are less than the window by a scrollbar
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}[scheme]
    ratio, text = browser.execute_script(LEAST_CONTRAST)
    assert ratio >= 4.5, f"{text!r} has a contrast of {ratio:.2f}"

    charts = browser.find_elements(By.CSS_SELECTOR, ".chart svg")
    visible = [chart for chart in charts if chart.is_displayed()]
    assert (
        len(visible)
        == len(charts) / 2
        == {"complete": 4, "episodic": 3, "group": 3, "running": 2, "comparison": 2, "study": 5}[page]
    )
    assert all(chart.rect["width"] > 300 and chart.rect["height"] > 60 for chart in visible)
    for name, texts in browser.execute_script(VISIBLE_TEXTS):
        check_labels(name, texts, width)
    for image in browser.find_elements(By.TAG_NAME, "img"):
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 0


def check_labels(figure, texts, width):
    """None runs out of the page, none over another."""
    assert texts
    for index, (text, left, top, right, bottom) in enumerate(texts):
        assert left >= 0, f"{figure}: {text!r} runs out at the left"
        assert right <= width, f"{figure}: {text!r} runs out at the right"
        for other, other_left, other_top, other_right, other_bottom in texts[index + 1 :]:
            apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
            assert apart, f"{figure}: {text!r} lies over {other!r}"


def test_a_reader_without_eyes_gets_names_for_all(browser, pages):
    """The accessibility tree, as Chromium gives it to a screen reader."""
    browser.get(pages["complete"].as_uri())
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
    ]
    images = [name for role, name in named if role in ("image", "img")]
    assert len(images) == 4
    assert any("Learning curve: the cost" in name for name in images)
    assert ("heading", "Evaluation") in named
    assert all(name for role, name in named if role in ("region", "table", "link", "heading"))
    assert not any(role == "StaticText" and name.startswith("200k") for role, name in named)


def test_a_members_report_opens_from_the_groups(browser, pages):
    # A page of the group that was written after its member's links there.
    build(pages["group"].parent / "seed-1")
    browser.get(build(pages["group"].parent).as_uri())
    browser.find_element(By.LINK_TEXT, "seed-1").click()
    assert browser.title == "lost-sales-ppo · seed-1 · Slipway report"
