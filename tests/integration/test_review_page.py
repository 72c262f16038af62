"""The review page in a real browser: opened from a file, rated by keys alone, saved, read back."""

import json
import re

import pytest
from browser import Browser, find_chromium, wait_for
from coded_texts import coded
from datasets import Dataset

from synimpute_hf import SyntheticImputer, save
from synimpute_hf.review import KEY, review_with, write_review

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine: the page is not opened")
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> rain & mill {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """A result and its sheet of ten texts; every original carries what a page could stumble over."""
    folder = tmp_path_factory.mktemp("result")
    columns = coded({"memory": 12, "health": 20})
    columns["text"] = [f"{text} {HOSTILE}" for text in columns["text"]]
    impute = SyntheticImputer(
        target=24, generator="echo", category_descriptions={"memory": HOSTILE}, journal=folder / "journal.sqlite"
    )
    save(folder, Dataset.from_dict(columns), impute.fit(Dataset.from_dict(columns)))
    return folder, write_review(folder, n=10)


@pytest.fixture
def open_page(sheet, tmp_path):
    """Return a function that opens the page in a browser whose profile stays for the whole test."""
    url = (sheet[0] / "review" / "review.html").as_uri()

    def start(**settings):
        browser = Browser(tmp_path / "profile", tmp_path, **settings)
        browser.open(url)
        return browser

    return start


def shown(browser):
    return browser.js("document.getElementById('text').textContent")


def chosen(browser, question):
    return browser.js(f"document.querySelector('input[name={question}]:checked')?.value ?? null")


def test_it_is_rated_by_keys_and_read_back(sheet, open_page, tmp_path):
    folder, written = sheet
    items = written.mix.items
    with open_page() as browser:
        browser.press(*"Anna B", "Enter")
        assert shown(browser) == items[0].text
        browser.press("y", "p", "5", "c", *"it rhymes", "Escape", "Enter")  # keys in the comment answer nothing
        browser.press("u", "m", "ArrowRight")
        browser.press("n", "u", "ArrowLeft")
        assert (chosen(browser, "belongs"), chosen(browser, "written_by")) == ("unsure", "machine")
        browser.press("Delete")
        assert chosen(browser, "belongs") is None
        browser.press("u", "m")
        assert "3 rated" in browser.js("document.getElementById('where').textContent")
        assert not browser.complaints
    with open_page() as browser:  # closed and opened again: it goes on where it was
        assert "3 of 10" in browser.js("document.getElementById('kept').textContent")
        browser.press("Enter")
        assert shown(browser) == items[3].text
        for _ in items[3:]:
            browser.press("y", "m", "Enter")
        assert browser.js("document.getElementById('done-title').textContent").startswith("All texts are rated")
        browser.press("Enter")  # the focus is on "Save ratings"
        file = tmp_path / "ratings-Anna-B.json"
        wait_for(file.is_file)
        assert not browser.complaints
    saved = json.loads(file.read_text())
    assert saved["ratings"][0] == {
        "id": items[0].id, "belongs": "yes", "written_by": "person", "quality": 5, "comment": "it rhymes"}  # fmt: skip
    facts = review_with(folder, [file])
    assert facts["coders"] == [{"name": "Anna B", "rated": 10}]
    said = ["person", "machine", "unsure", *["machine"] * 7]
    counted = [(item, word) for item, word in zip(items, said, strict=True) if item.own == item.asked]
    points = [0.5 if word == "unsure" else float((word == "machine") == item.synthetic) for item, word in counted]
    assert facts["told_apart"][0]["estimate"] == pytest.approx(sum(points) / len(points))
    assert "Anna B" in (folder / "README.md").read_text()
    assert "rhymes" not in (folder / "review.json").read_text()


def test_the_tab_key_and_a_screen_reader_get_everywhere(open_page):
    with open_page() as browser:
        browser.press("Enter")
        reached = []
        for _ in range(9):
            browser.press("Tab")
            reached.append(browser.js("document.activeElement.name || document.activeElement.id"))
        assert list(dict.fromkeys(filter(None, reached)))[:7] == [
            "belongs", "written_by", "quality", "comment", "save", "next", "keys"]  # fmt: skip
        browser.js("document.getElementsByName('belongs')[0].focus()")
        browser.press(" ", "ArrowDown")  # as in any group of radio buttons
        assert chosen(browser, "belongs") == "no"
        nodes = browser("Accessibility.getFullAXTree")["nodes"]
        named = {
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]
        }
        for role, name in (
            ("group", "Does it belong to the class?"),
            ("group", "Who wrote it?"),
            ("radio", "Unsure U"),
            ("textbox", "Comment optional C"),
            ("progressbar", "Texts rated"),
            ("heading", "Text 1 of 10"),
        ):
            assert (role, name) in named, sorted(named)
        browser.js("document.getElementById('keys').click(); document.activeElement.blur()")
        browser.press("y")  # single keys are off
        assert chosen(browser, "belongs") == "no"


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground(open_page, dark):
    """Contrast of 4.5 and more, as WCAG 2.2 asks of text (criterion 1.4.3), for what can be seen."""
    with open_page(dark=dark) as browser:
        browser.press("Enter", "y")
        colours = browser.js(
            "[...document.querySelectorAll('p,span,button,legend,label,kbd,h1')].filter(e => e.checkVisibility() &&"
            " [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => { let g = e, b;"
            " do { b = getComputedStyle(g).backgroundColor; g = g.parentElement }"
            " while (b === 'rgba(0, 0, 0, 0)' && g);"
            " return [getComputedStyle(e).color, b, e.textContent.slice(0, 30)] })"
        )
    assert len(colours) > 15
    for ink, ground, words in colours:
        light, deep = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (deep + 0.05) >= 4.5, (ink, ground, words)


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_without_storage_it_says_so_and_a_file_brings_ratings_back(sheet, open_page, tmp_path):
    items = sheet[1].mix.items
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no') } })"
    with open_page() as browser:
        browser("Page.addScriptToEvaluateOnNewDocument", source=refuse)
        browser.open((sheet[0] / "review" / "review.html").as_uri() + "?again")
        wait_for(lambda: not browser.js("document.getElementById('storage').hidden"))
        browser.press(*"ben", "Enter", "n", "m", "Enter", "s")
        file = tmp_path / "ratings-ben.json"
        wait_for(file.is_file)
        other = json.loads(file.read_text()) | {"sheet": "other"}
        (tmp_path / "other.json").write_text(json.dumps(other))
        browser.load("Page.reload")
        for name, expected in (("other.json", "was not saved by this page"), (file.name, "")):
            document = browser("DOM.getDocument")["root"]["nodeId"]
            node = browser("DOM.querySelector", nodeId=document, selector="#open")["nodeId"]
            browser("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / name)])
            wait_for(lambda: expected in browser.js("document.getElementById('kept').textContent"))  # noqa: B023
        wait_for(lambda: not browser.js("document.getElementById('rate').hidden"))
        assert shown(browser) == items[1].text
        browser.press("ArrowLeft")
        assert (chosen(browser, "belongs"), chosen(browser, "written_by")) == ("no", "machine")


def test_no_text_breaks_out_and_nothing_can_be_fetched(sheet, open_page):
    page = (sheet[0] / "review" / "review.html").read_text()
    assert "http" not in re.sub(r'http-equiv="', "", page)
    assert KEY not in page
    with open_page() as browser:
        browser.press("Enter")
        assert browser.js("document.title").startswith("Review:")
        assert browser.js("document.images.length") == 0
        fetched = "fetch('data:,x').then(() => 'sent', () => 'blocked')"
        drawn = (
            "new Promise(done => { const i = new Image(); i.onload = () => done('sent');"
            " i.onerror = () => done('blocked'); i.src = 'http://127.0.0.1:9/x.png' })"
        )
        assert (browser.js(fetched), browser.js(drawn)) == ("blocked", "blocked")
