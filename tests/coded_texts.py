"""A small coded dataset, written on the spot: texts that a classifier can tell apart, but not all of them."""

import numpy as np


def _words(text):
    return text.split()


SHARED = _words("the city council said on monday that people here want more time and money for it now than last year")
TOPICS = {
    "memory": _words("grandfather village harvest lantern ballad orchard custom parish heirloom fiddle homestead"),
    "transport": _words("tram station ticket platform driver timetable junction delay carriage signal route depot"),
    "health": _words("clinic nurse vaccine patient surgery hospital ward doctor therapy insurance dentist diagnosis"),
    "market": _words("price trader factory export tariff invoice retailer wage inflation supplier profit loan"),
}


def coded(counts, seed=0, authors=0):
    """Return columns of a dataset with so many rows of each class, in mixed order.

    A quarter of the topic words belong to another class, so that no classifier is always right.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for name, count in counts.items():
        others = [word for topic in counts if topic != name for word in TOPICS[topic]]
        for _ in range(count):
            topical = [str(generator.choice(TOPICS[name] if generator.random() < 0.6 else others)) for _ in range(4)]
            words = [*topical, *map(str, generator.choice(SHARED, 8))]
            rows.append((" ".join(generator.permutation(words)), name))
    order = generator.permutation(len(rows))
    columns = {"text": [f"{rows[k][0]} {place}" for place, k in enumerate(order)], "label": [rows[k][1] for k in order]}
    if authors:
        columns["author"] = [f"author {k}" for k in generator.integers(0, authors, len(rows))]
    return columns
