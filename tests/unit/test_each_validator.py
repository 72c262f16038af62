"""What each validator finds, what it lets pass, and on what it decides."""

import time
from collections import Counter

import numpy as np
import pytest
from planted_faults import ENGLISH, FAULTS, GERMAN, RARE, answers, reference

from synimpute_hf.answers import read_answer
from synimpute_hf.errors import MissingPackageError, SynimputeWarning
from synimpute_hf.shingles import CHARACTERS, WORDS, Gathered, known_runs, shingles, shingles_of, tokens_of
from synimpute_hf.validators import DEFAULTS, Case, Panel, Reference, make_validator

NONE = np.zeros(0, dtype=np.uint32)
SENTENCE = "Rents have doubled in ten years while wages crept up by a fifth."


def prepared(spec, texts=(), **more):
    """Return a validator that knows a class of so many texts."""
    given = {"ids": {}, "descriptions": {}, "shingles": shingles_of(list(texts)), **more}
    made = make_validator(spec)
    made.prepare(Reference({"c": list(texts)}, **given))
    return made


def judge(validator, text, shown=()):
    return validator.judge([Case("c", text, (), tuple(shown))])[0]


# --- all of them, on planted faults ---


@pytest.fixture(scope="module")
def tallies():
    """How many answers of each language and fault there are, and how many are found."""
    asked, found = Counter(), Counter()
    for language, texts, other in (("English", ENGLISH, GERMAN), ("German", GERMAN, ENGLISH)):
        planted = answers(texts, other)
        readings = [read_answer(entry.answer, "stop", entry.shown) for entry in planted]
        panel = Panel([make_validator(spec) for spec in (*DEFAULTS, "label")], reference(texts))
        judged = iter(
            panel.judge(
                [
                    Case(RARE, reading.text, (), entry.shown)
                    for entry, reading in zip(planted, readings, strict=True)
                    if not reading.reason
                ]
            )
        )
        for entry, reading in zip(planted, readings, strict=True):
            asked[language, entry.fault] += 1
            found[language, entry.fault] += bool(reading.reason or next(judged).reason)
    return asked, found


@pytest.mark.parametrize("language", ["English", "German"])
def test_planted_faults_are_found(tallies, language):
    asked, found = tallies
    assert sum(asked.values()) >= 300
    shares = {fault: found[language, fault] / asked[language, fault] for fault in FAULTS}
    # The encoder of `label` was trained on English: it reads German by its letters more than by its meaning.
    aims = {fault: 0.85 if (language, fault) == ("German", "wrong class") else 0.95 for fault in FAULTS}
    assert {fault: share for fault, share in shares.items() if share < aims[fault]} == {}


@pytest.mark.parametrize("language", ["English", "German"])
def test_at_most_5_percent_of_the_good_texts_are_lost(tallies, language):
    asked, found = tallies
    assert asked[language, ""] >= 30
    assert found[language, ""] <= 0.05 * asked[language, ""]


# --- shingles ---


def test_shingles_know_words_and_not_case_or_punctuation():
    assert len(shingles("one two three four")) == 1
    assert len(shingles("one two three")) == len(shingles("")) == len(shingles("?!")) == 0
    assert (shingles("One, two: THREE four?") == shingles("one two three four")).all()
    assert (shingles("Straße \ufb01ne one two") == shingles("strasse fine ONE two")).all(), "NFKC, case-folded"
    assert shingles("one two three four") != shingles("one two four three")
    assert shingles("word").dtype == np.uint32


def test_a_batch_of_texts_gives_what_each_gives_and_no_window_across_two():
    texts = ["a b c d e", "", "f g", "h i j k", "今天天气很好我们去公园散步", "...", "a b c d", "ende e f g"]
    together = shingles_of(texts)
    assert together.tolist() == sorted({code for text in texts for code in shingles(text).tolist()})
    assert len(shingles_of(["a b", "c d"])) == len(shingles_of([])) == 0


def test_texts_that_come_one_by_one_are_gathered():
    gathered = Gathered()
    assert len(gathered.codes()) == 0
    texts = [f"{k} one two {k % 7} three" for k in range(5000)]
    for text in texts[:4500]:
        gathered.add(text)
    assert (gathered.codes() == shingles_of(texts[:4500])).all()
    for text in texts[4500:]:
        gathered.add(text)
    assert (gathered.codes() == shingles_of(texts)).all()
    assert gathered.codes().dtype == np.uint32


def test_tokens_are_words_or_characters():
    assert tokens_of(" Don't — stop_it, Ärger!") == ["don", "t", "stop", "it", "ärger"]
    assert tokens_of("iPhone 17で写真") == ["iphone", "17", "で", "写", "真"]
    assert tokens_of("हिन्दी 👍") == ["हिन्दी"]
    assert tokens_of("?") == []


def test_a_run_is_counted_in_words_and_in_characters_where_there_are_no_blanks():
    known = shingles_of([SENTENCE, "今天天气很好我们去公园散步"])
    assert known_runs("They say rents have doubled in ten years, or nearly so.", known) == (
        6,
        pytest.approx(3 / 8),
        WORDS,
    )
    assert known_runs("昨天说今天天气很好我们去公园", known)[::2] == (11, CHARACTERS)
    assert known_runs("Nothing of it stands there at all.", known).run == 0
    assert known_runs("short", NONE) == (0, 0.0, WORDS)


# --- length ---

SPREAD = [("word " * count).strip() for count in range(8, 31)]


def test_length_is_held_to_the_class():
    validator = prepared("length", SPREAD)
    assert judge(validator, "word " * 20) == ("", 20.0)
    assert judge(validator, "word " * 3).reason == "too short"
    assert judge(validator, "word " * 80).reason == "too long"
    assert judge(prepared("length:widen=9", SPREAD), "word " * 80).reason == ""


def test_length_is_held_to_the_texts_shown():
    validator = prepared("length", [*SPREAD, "word " * 400, "word " * 500])
    assert judge(validator, "word " * 200).reason == ""
    assert judge(validator, "word " * 200, SPREAD[:5]).reason == "too long"


def test_length_counts_characters_where_there_are_no_blanks():
    validator = prepared("length", ["今天天气很好我们去公园散步吧" * 2] * 6)
    assert judge(validator, "明天我们去图书馆看书然后回家吃饭睡觉") == ("", 18.0)
    assert judge(validator, "好").reason == "too short"


def test_length_of_few_originals_is_taken_less_seriously():
    few, many = (prepared("length", ["word " * 10] * count) for count in (2, 200))
    assert judge(few, "word " * 30).reason == ""
    assert judge(many, "word " * 30).reason == "too long"


# --- language ---

OWN = {"english": ["We will build homes for everyone in this town.", "Taxes on empty flats are fair and overdue."] * 5}
MIESTEN = "Die Mieten müssen sinken, damit Familien in der Stadt bleiben können."


def test_language_is_that_of_the_originals_or_the_one_asked_for():
    validator = prepared("language", OWN["english"])
    assert judge(validator, MIESTEN).reason == "another language"
    assert judge(validator, "Nobody should pay half of a wage for one room.").reason == ""
    for asked in ("German", "de", "de-AT", "Deutsch"):
        german = prepared("language", OWN["english"], language=asked)
        assert judge(german, MIESTEN).reason == ""
        assert judge(german, "Nobody should pay half of a wage for one room.").reason == "another language"


def test_language_lets_short_and_mixed_texts_pass():
    validator = prepared("language", OWN["english"])
    for text in (
        "ok",
        "Yay yay yay yay #mets",
        "@anonymous lol =p",
        "Berlin!",
        "12.11.2025",
        "Merci beaucoup, my friends!",
    ):
        assert judge(validator, text).reason == ""
    mixed = prepared("language", [*OWN["english"], MIESTEN])
    assert judge(mixed, "Wohnungen gehören denen, die darin wohnen.").reason == "", "an original is in German, too"


def test_language_says_which_one_it_does_not_know():
    with pytest.warns(SynimputeWarning, match="does not know the language 'Klingon'"):
        validator = prepared("language", OWN["english"], language="Klingon")
    assert judge(validator, MIESTEN) == ("", None)


@pytest.mark.parametrize(("name", "module"), [("language", "py3langid.langid"), ("duplicate", "rapidfuzz")])
def test_a_missing_package_is_named_with_its_extra(name, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingPackageError, match=r"synimpute-hf\[quality\]"):
        prepared(name, OWN["english"])


# --- refusal ---


def test_refusal_passes_what_an_original_has_too():
    tagged = "Dear [NAME], thank you for your letter about the tram."
    assert judge(prepared("refusal", [SENTENCE]), tagged).reason == "placeholder"
    assert judge(prepared("refusal", [SENTENCE, "I met [NAME] yesterday."]), tagged).reason == ""
    assert judge(prepared("refusal", [SENTENCE]), tagged, ["I met [NAME] yesterday."]).reason == ""


@pytest.mark.parametrize(
    "text",
    [
        "I can't believe they would provide that kind of help to banks and none to us.",
        "This post office must stay open. The message is clear: hands off our village!",
        "We cannot create jobs with this budget.",
        "Category 5 storms are coming more often, and the text of the treaty keeps silent about it.",
        "Die Antwort der Regierung folgt morgen, und ich habe lange auf sie gewartet.",
        "Unsere Partei lässt sich nicht den Mund verbieten [Beifall].",
        "Let me know what you think about the new bridge!",
        "AI will change our schools, and language models already do.",
    ],
)
def test_refusal_passes_ordinary_texts(text):
    assert judge(prepared("refusal", [SENTENCE]), text).reason == ""


def test_refusal_knows_the_prompt_files_and_the_definitions():
    described = prepared(
        "refusal", [SENTENCE], descriptions={"c": "statements that look back on a better past of the nation"}
    )
    leak = "It is a text with statements that look back on a better past of the nation."
    assert judge(described, leak) == ("piece of the instructions", 11.0)
    assert judge(prepared("refusal", [SENTENCE]), leak).reason == ""
    assert judge(described, "Keep to how such people write, with spelling and abbreviations.").reason != ""


# --- overlap ---


def test_overlap_finds_a_run_from_any_class_or_split():
    other_split = "the council approved a second bridge over the river in march of last year"
    validator = prepared("overlap", [SENTENCE], shingles=shingles_of([SENTENCE, other_split]))
    found = judge(validator, f"It is true that {other_split}, and we were glad of it when the old one closed.")
    assert found.reason == "verbatim run from an original"
    assert judge(validator, "Rents have doubled in ten years, wages have not.").reason == "mostly phrases of originals"
    assert judge(validator, "In ten years rents have risen twice as fast as anything that we earn.") == ("", 0.0)


def test_overlap_does_not_count_what_many_originals_say():
    common = [f"I would like to know how much I have to pay for {thing}" for thing in ("tea", "milk", "bread", "eggs")]
    text = "I would like to know how much I have to pay for a doctor."
    assert judge(prepared("overlap", common), text).reason == ""
    assert judge(prepared("overlap", common[:1]), text).reason == "verbatim run from an original"


# --- duplicate ---


@pytest.mark.parametrize(
    "twin",
    [
        "Rents have doubled in ten years while wages crept up by a third.",
        "RENTS have doubled in 10 years while wages crept up by a fifth!",
        "While wages crept up by a fifth, rents have doubled in ten years.",
        "Rents have doubled in ten years while our wages only crept up by a fifth.",
    ],
)
def test_duplicate_finds_near_copies(twin):
    assert (
        judge(prepared("duplicate", [SENTENCE, *ENGLISH["good"].split("\n")]), twin).reason
        == "near-copy of an original"
    )


def test_duplicate_knows_what_was_accepted():
    validator = prepared("duplicate", [SENTENCE])
    new = Case("c", "Nobody should be evicted in winter.", (), ())
    assert validator.judge([new])[0].reason == ""
    validator.accept(new)
    assert judge(validator, "nobody  should be evicted in WINTER.").reason == "copy of an accepted text"
    assert judge(validator, "Nobody should be evicted in winters!").reason == "near-copy of an accepted text"
    assert judge(validator, SENTENCE.upper()).reason == "copy of an original"


def test_duplicate_expects_no_more_variety_than_the_originals_have():
    alike = [f"What is the exchange rate for {money}?" for money in ("euros", "pounds", "yen", "kroner", "francs")]
    text = "What is the exchange rate for dollars?"
    assert judge(prepared("duplicate", alike), text).reason == ""
    assert judge(prepared("duplicate", [alike[0], *ENGLISH["housing"].split("\n")]), text).reason != ""


def test_time_of_the_duplicate_check_grows_linearly():
    generator = np.random.default_rng(0)
    words = np.array([f"{a}{b}{c}" for a in "bdfg" for b in "aeiou" for c in ("lm", "rt", "st", "nk", "sh")])
    texts = [" ".join(generator.choice(words, 12)) for _ in range(8000)]

    def seconds(count):
        begun = time.process_time()
        validator = prepared("duplicate", texts[: count // 2], shingles=NONE)
        for text in texts[count // 2 : count]:
            validator.accept(Case("c", text, (), ()))
            judge(validator, text + " end")
        return time.process_time() - begun

    seconds(200)
    assert seconds(8000) < 3 * 8 * seconds(1000)  # all pairs would take 64 times as long


# --- similarity and label ---


def test_similarity_is_the_cosine_to_the_nearest_original():
    validator = prepared("similarity:highest=0.85", [SENTENCE, "The last train leaves at nine in the evening."])
    near = judge(validator, "In ten years, rents doubled, whereas wages only rose by twenty per cent.")
    far = judge(validator, "Nurses need safe staffing levels.")
    assert near.figure > far.figure
    assert judge(validator, SENTENCE) == ("too similar to an original", pytest.approx(1.0, abs=1e-3))
    assert far.reason == ""


def test_label_lets_originals_pass_at_the_stated_rate():
    known = reference(ENGLISH)
    rejected = {}
    for lost in (0.05, 0.6):
        validator = make_validator(f"label:lost={lost}")
        validator.prepare(known)
        rejected[lost] = np.mean(
            [bool(f.reason) for f in validator.judge([Case(RARE, t, (), ()) for t in known.texts[RARE]])]
        )
    assert rejected[0.05] <= 0.05
    assert rejected[0.05] <= rejected[0.6]
    assert validator.judge([Case("unheard of", "A text.", (), ())]) == [("", None)]
