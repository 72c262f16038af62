"""What models put around a text is told from the text."""

import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synimpute_hf.answers import read_answer

TEXT = "Folks used to sit on the porch till dark, and nobody locked a door."
SHOWN = ["We had a milkman once.", "The old mill is gone: they sold it.", "I miss the trams."]


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        f"  {TEXT}\n",
        f'"{TEXT}"',
        f"“{TEXT}”",
        f"«{TEXT}»",
        f"**{TEXT}**",
        f"1. {TEXT}",
        f"(6) {TEXT}",
        f"- {TEXT}",
        f"Text 6: {TEXT}",
        f"**Sentence:** {TEXT}",
        f"New text: {TEXT}",
        f"### New Tweet\n\n{TEXT}",
        f"```\n{TEXT}\n```",
        f"```text\n{TEXT}\n```",
        f"Here is a new sentence in the style of the others:\n\n{TEXT}",
        f"Here's one more:\n{TEXT}",
        f"Here\u2019s another: “{TEXT}”",
        f'Sure! Here is a text:\n\n"{TEXT}"',
        f"Certainly! Here is a new post about the past:\n\n1. **{TEXT}**",
        f"Sure!\n\n{TEXT}",
        f"This is a new sentence about the past: {TEXT}",
        f"Hier ist ein neuer Text: {TEXT}",
        f"Voici un nouveau texte :\n{TEXT}",
        f"Aquí tienes otro texto: {TEXT}",
        f"{TEXT}\n\nLet me know if you want another one!",
        f"{TEXT}\n\n(Note: this text is made up.)",
        f"{TEXT}\n\nThis sentence captures the longing of the others.",
        f"<think>\nThe user wants a text.\n\n1. porch\n2. doors\n</think>\n\n{TEXT}",
        f"The user wants a text about porches.\n</think>\n{TEXT}",
        f"<|channel|>analysis<|message|>They want…<|end|><|channel|>final<|message|>{TEXT}<|return|>",
        f"{TEXT}<|im_end|>",
    ],
)
def test_what_stands_around_a_text_is_taken_away(answer):
    assert read_answer(answer, "stop", SHOWN) == (TEXT, "")


@pytest.mark.parametrize(
    "text",
    [
        "I can't help but miss the old days.",
        "I cannot help but wonder where the time went.",
        "I'm sorry that the mill is gone.",
        "Sorry for the noise, we had a band then.",
        "Unfortunately, the bus does not come any more.",
        "Remember this: we had nothing, and shared it.",
        "Here is where the mill stood, and there the school.",
        "This is what we lost: time.",
        "Great, another delay: thanks for nothing.",
        '"One," she said, "and two."',
        "'Twas the best of summers, 'twas the best of days'",
        "1999 was the year. 2000 was not.",
        "The answer: nobody knows.",
        "I thought <b>this</b> was gone.",
        "A list - of things - that were.",
        "I will not forget the smell of hay.",
    ],
)
def test_a_text_that_only_looks_like_it_is_left_alone(text):
    assert read_answer(text, "stop", SHOWN) == (text, "")


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("I'm sorry, but I can't assist with that.", "stop", "refusal"),
        ("I\u2019m sorry, but I can\u2019t help with that request.", "stop", "refusal"),
        ("As an AI language model, I cannot generate hateful content.", "stop", "refusal"),
        ("I must decline to write this.", "stop", "refusal"),
        ("Es tut mir leid, aber ich kann das nicht schreiben.", "stop", "refusal"),
        ("Lo siento, pero no puedo ayudar con eso.", "stop", "refusal"),
        ("Je suis désolé, mais je ne peux pas répondre.", "stop", "refusal"),
        ("No.", "refusal", "refusal"),
        ("We used", "content_filter", "stopped by the content filter"),
        ("We used to", "length", "cut off at the length limit"),
        ("<think>They want", "length", "reasoning without an answer"),
        ("<think>They want a text.</think>", "stop", "reasoning without an answer"),
        ("<think>They want a text.", "stop", "reasoning without an answer"),
        ("Here is a new text:", "stop", "preamble without a text"),
        ("Sure!", "stop", "preamble without a text"),
        ("1. One text.\n2. Another text.", "stop", "several texts instead of one"),
        ("Here are two:\n\n- One text.\n- Another text.", "stop", "several texts instead of one"),
        ("Text 6: One.\nText 7: Two.", "stop", "several texts instead of one"),
    ],
)
def test_what_is_no_text_is_rejected_with_its_own_reason(answer, finish, reason):
    assert read_answer(answer, finish, SHOWN).reason == reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"text": "One text."}', ("One text.", "")),
        ('```json\n{"text": "One text."}\n```', ("One text.", "")),
        ('{"text": "1. kept as it is"}', ("1. kept as it is", "")),
        ('{"text": ""}', ("", "empty")),
        (
            '{"text": "I\'m sorry, but I can\'t assist with that."}',
            ("I'm sorry, but I can't assist with that.", "refusal"),
        ),
        ('{"texts": []}', ('{"texts": []}', "not the JSON that was asked for")),
        ('{"text": 5}', ('{"text": 5}', "not the JSON that was asked for")),
        ('{"text": "half', ('{"text": "half', "not the JSON that was asked for")),
        ("I'm sorry, I can't help with that.", ("I'm sorry, I can't help with that.", "refusal")),
    ],
)
def test_structured_answers(answer, expected):
    assert read_answer(answer, "stop", SHOWN, structured=True) == expected


@pytest.mark.parametrize(
    ("original", "answer"),
    [
        ('"All of us were there."', f'"{TEXT}"'),
        ("3. The porch.", f"4. {TEXT}"),
        ("Tweet: old times", f"Tweet: {TEXT}"),
        ("1. Milk\n2. Bread", "1. Eggs\n2. Flour"),
        ("I'm sorry, I can't help with that, said the clerk.", "I'm sorry, I can't help with that, said the guard."),
        ("Here is my list: all gone.", "Here is my view: all lost."),
    ],
)
def test_what_an_original_shows_belongs_to_the_texts(original, answer):
    assert read_answer(answer, "stop", [*SHOWN, original]) == (answer, "")


def test_a_continuation_is_taken_as_it_is():
    assert read_answer("1. one\n2. two ", "stop", [], form="continuation") == ("1. one\n2. two", "")
    assert read_answer("half", "length", [], form="continuation").reason == "cut off at the length limit"
    assert read_answer(" ", "stop", [], form="continuation").reason == "empty"


WRAPPERS = st.sampled_from(
    ["{}", '"{}"', "**{}**", "1. {}", "Here is one:\n{}", "```\n{}\n```", "{}\n\nFeel free to ask."]
)


@given(st.text(), st.lists(WRAPPERS, max_size=4))
def test_reading_what_was_read_changes_nothing(text, wrappers):
    for wrapper in wrappers:
        text = wrapper.format(text)
    once = read_answer(text, "stop", [])
    if not once.reason:
        assert read_answer(once.text, "stop", []) == once


@pytest.mark.parametrize("piece", ["<think>", "1. a\n", '"', "**a", "here is ", "\n\n", "i'm sorry ", "'a", "```\n"])
def test_reading_takes_linear_time(piece):
    started = time.perf_counter()
    read_answer(piece * 20_000, "stop", [])
    assert time.perf_counter() - started < 2


def test_real_texts_are_hardly_ever_changed(shared_data):
    files = list(shared_data.glob("*/*.parquet"))
    assert files
    for file in files:
        texts = [text for text in pd.read_parquet(file)["text"] if text.strip()]
        readings = [(text.strip(), read_answer(text, "stop", [])) for text in texts]
        # A number or bullet before a text may go, where no text that was shown has one.
        changed = [(text, read) for text, read in readings if read.reason or len(text) - len(read.text) > 5]
        assert len(changed) <= 0.01 * len(texts), changed[:5]
