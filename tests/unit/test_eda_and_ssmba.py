"""The operations of EDA, and corruption and reconstruction of SSMBA, each against what its paper and its code say."""

import sys
import zipfile
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from masked_lm import SPECIAL, TEXTS, make_tokenizer, save_masked_lm

from synimpute_hf.augmenters import make_augmenter
from synimpute_hf.errors import GeneratorError, MissingPackageError, PlanError
from synimpute_hf.seeding import normalise

WORDS = [f"word{number:02d}" for number in range(40)]
TEXT = " ".join(WORDS)
# In the form of wndb(5WN), as in the files of Princeton's WordNet 3.0.
WORDNET = {
    "data.noun": "  1 This software and database is being provided to you\n"
    "00000100 06 n 03 bridge 0 span 0 Brooklyn_Bridge 1 001 @ 00000200 n 0000 | a structure | that spans\n"
    "00000200 06 n 01 activity 0 000 | any specific behavior\n"
    "00000300 08 n 02 goose 0 honker 0 000 | a bird\n"
    "00000400 09 n 02 a 0 angstrom 0 000 | a unit\n",
    "data.verb": "00000500 30 v 02 repair 0 mend 0 000 01 + 08 00 | restore\n",
    "data.adj": "00000600 00 a 02 old 0 aged(a) 0 000 | not young\n",
    "data.adv": "00000700 02 r 02 fast 0 quickly 1 000 | at speed\n",
    "noun.exc": "geese goose\n",
}


def eda(tmp_path, lines=None, **options):
    """Return EDA with a file of synonyms; by default ``syn7`` for ``word07`` and so on."""
    lines = [f"{word}, {word.replace('word', 'syn')}" for word in WORDS] if lines is None else lines
    path = tmp_path / "synonyms.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return make_augmenter("eda", synonyms=str(path), **options)


def operation(words, made):
    """Say which operation made a text of different words, and how many words it changed."""
    new = [word for word in made if word not in words]
    if len(made) > len(words):
        return "insert", len(made) - len(words)
    if new:
        return "replace", len(new)
    if sorted(made) == sorted(words) and made != words:
        return "swap", sum(a != b for a, b in zip(words, made, strict=True))
    return "delete", len(words) - len(made)


@pytest.mark.parametrize(("alpha", "count"), [(0.01, 1), (0.1, 4), (0.24, 9)])
def test_each_operation_changes_as_many_words_as_the_paper_says(tmp_path, alpha, count):
    (copies,) = eda(tmp_path, alpha=alpha).augment([TEXT], 400, seed=3)
    by_kind = {}
    for copy in copies:
        kind, changed = operation(WORDS, copy.split())
        by_kind.setdefault(kind, []).append(changed)
    assert {kind: len(found) for kind, found in by_kind.items()} == dict.fromkeys(by_kind, 100)
    assert set(by_kind["replace"]) == set(by_kind["insert"]) == {count}
    assert 1 < max(by_kind["swap"]) <= 2 * count
    # Each of 40 words goes with probability alpha: 4 standard errors.
    expected, spread = 40 * alpha, (40 * alpha * (1 - alpha) / 100) ** 0.5
    assert abs(np.mean(by_kind["delete"]) - expected) < 4 * spread


def test_four_copies_use_all_four_operations_in_different_orders(tmp_path):
    (copies,) = eda(tmp_path, alpha=0.2).augment([TEXT], 80, seed=0)
    kinds = [operation(WORDS, copy.split())[0] for copy in copies]
    turns = [tuple(kinds[start : start + 4]) for start in range(0, 80, 4)]
    assert all(len(set(turn)) == 4 for turn in turns)
    assert len(set(turns)) > 8


def test_a_replaced_word_keeps_its_capital_its_punctuation_and_is_replaced_wherever_it_stands(tmp_path):
    augmenter = eda(tmp_path, ["brücke\tsteg"])
    (copies,) = augmenter.augment(["Brücke, (die brücke) / BRÜCKE!"], 4, seed=0)
    assert "Steg, (die steg) / Steg!" in copies
    assert any(copy.split().count("steg") == 1 and len(copy.split()) == 6 for copy in copies)  # inserted


def test_deletion_never_empties_a_text():
    augmenter = make_augmenter("eda:synonyms=none,alpha=1")
    for copies in augmenter.augment(["a b", "a", "a b c d"], 60, seed=0):
        assert all(copies)
        assert min(len(copy.split()) for copy in copies) == 1


def test_without_synonyms_every_word_comes_from_the_text():
    (copies,) = make_augmenter("eda:synonyms=none").augment([TEXT], 300, seed=0)
    assert {word for copy in copies for word in copy.split()} == set(WORDS)
    counts = Counter("insert" if len(c.split()) > 40 else "swap" if len(c.split()) == 40 else "delete" for c in copies)
    assert counts["insert"] == 100
    assert 90 <= counts["delete"] <= 100  # a deletion may delete nothing
    assert all(Counter(c.split()) - Counter(WORDS) for c in copies if len(c.split()) > 40)


def write_wordnet(folder):
    folder.mkdir(parents=True)
    for name, text in WORDNET.items():
        (folder / name).write_text(text)


def test_wordnet_is_read_from_a_folder_an_archive_and_nltks_place(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "corpora" / "wordnet"
    write_wordnet(folder)
    archive = tmp_path / "packed" / "corpora" / "wordnet.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.iterdir():
            packed.write(path, f"wordnet/{path.name}")
    made = [make_augmenter("eda", synonyms=str(path)) for path in (folder, archive)]
    for root in ("data", "packed"):
        monkeypatch.setenv("NLTK_DATA", str(tmp_path / root))
        made.append(make_augmenter("eda:synonyms=wordnet"))
        assert made[-1].identity == made[0].identity
    words = {
        "bridge": ["Brooklyn Bridge", "span"],
        "bridges": ["Brooklyn Bridge", "span"],
        "geese": ["honker"],
        "repaired": ["mend"],
        "old": ["aged"],
        "older": ["aged"],
        "a": [],  # a stop word
        "activities": [],  # its base form is no synonym
        "nowhere": [],
        "": [],
    }
    for augmenter in made:
        assert {word: augmenter._synonyms(word) for word in words} == words
    assert len({str(augmenter.augment(["The geese left the old bridge, twice."], 8, 0)) for augmenter in made}) == 1


def test_synonyms_that_cannot_be_read_are_told(tmp_path, monkeypatch):
    with pytest.raises(PlanError, match="neither a file with interchangeable words"):
        make_augmenter(f"eda:synonyms={tmp_path / 'nowhere'}").augment(TEXTS, 1, 0)
    with pytest.raises(PlanError, match="There are no synonyms in"):
        eda(tmp_path, ["alone", ""]).augment(TEXTS, 1, 0)
    (tmp_path / "latin1.txt").write_bytes(b"gr\xfcn, gr\xfcnlich")
    with pytest.raises(PlanError, match="cannot be read as UTF-8"):
        make_augmenter(f"eda:synonyms={tmp_path / 'latin1.txt'}").augment(TEXTS, 1, 0)
    monkeypatch.setattr("synimpute_hf.augmenters.eda._wordnet_inside", lambda folder: None)
    with pytest.raises(PlanError, match=r"no WordNet on this machine.*nltk.download\('wordnet'\).*wordnet-base"):
        make_augmenter("eda:synonyms=wordnet").augment(TEXTS, 1, 0)
    with pytest.raises(PlanError, match="alpha: Input should be less than or equal to 1"):
        make_augmenter("eda:alpha=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("masked-lm") / "tiny")


def stream(number):
    return np.random.Generator(np.random.Philox(key=number))


@pytest.mark.parametrize(
    ("noise", "random_token", "leave"), [(0.15, 0.1, 0.1), (0.4, 0.3, 0.2), (0.1, 0, 0), (1, 1, 0)]
)
def test_the_corruption_has_the_rates_of_the_authors_code(folder, noise, random_token, leave):
    model = make_augmenter("ssmba:" + folder, noise=noise, random_token=random_token, leave_unmasked=leave)._loaded
    (window,) = model.windows(TEXTS[0])
    tokens, repeats = len(window.ids), 2000
    noisy = [model.corrupt(window, stream(number)) for number in range(repeats)]
    written = np.array([len(one.places) for one in noisy])
    masked = np.array([(one.ids == 4).sum() for one in noisy])
    selected = min(noise * tokens, tokens - 2)
    assert abs(written.mean() - selected * (1 - leave)) < 5 * max(written.std(), 1e-9) / repeats**0.5
    assert abs(masked.mean() - selected * (1 - leave - random_token)) < 0.01 + 5 * masked.std() / repeats**0.5
    assert written.max() <= -(-selected // 1)
    seen = Counter(place for one in noisy for place in one.places.tolist())
    assert set(seen) == set(range(1, tokens - 1)), "every token but the special ones, and none else"
    assert max(seen.values()) / min(seen.values()) < 2
    for one in noisy:
        kept = np.setdiff1d(np.arange(tokens), one.places)
        assert (one.ids[kept] == window.ids[kept]).all()
        assert np.isin(one.ids[one.places], [0, 1, 2, 3, 5]).sum() == 0, "a special or unused token was written"
        assert ((one.uniforms >= 0) & (one.uniforms < 1)).all()


def test_tokens_are_drawn_from_the_models_distribution(folder):
    augmenter = make_augmenter("ssmba:" + folder)
    model = augmenter._loaded
    (window,) = model.windows(TEXTS[1])
    one = next(n for n in (model.corrupt(window, stream(key)) for key in range(99)) if len(n.places) == 2)
    full = model._model(input_ids=torch.from_numpy(one.ids)[None]).logits[0, one.places].double()
    full[:, [0, 1, 2, 3, 4, 5]] = -torch.inf
    expected = full.softmax(-1).detach().numpy()
    grid = (np.arange(4000) + 0.5) / 4000
    written = model.write([one._replace(uniforms=np.array([u, u])) for u in grid])
    for place in (0, 1):
        drawn = np.bincount([ids[one.places[place]] for ids in written], minlength=expected.shape[1]) / len(grid)
        assert np.abs(drawn - expected[place]).max() < 2 / len(grid)  # an even grid leaves no chance
        assert drawn[:6].sum() == 0
    for ids in written:
        assert (np.delete(ids, one.places) == np.delete(window.ids, one.places)).all()
    top = make_augmenter("ssmba:" + folder, topk=3)._loaded
    drawn = {ids[one.places[0]] for ids in top.write([one._replace(uniforms=np.array([u, u])) for u in grid])}
    assert drawn == set(np.argsort(-expected[0])[:3])


def test_copies_differ_from_the_original_and_from_each_other(folder):
    for text, copies in zip(TEXTS, make_augmenter("ssmba:" + folder).augment(TEXTS, 8, seed=5), strict=True):
        assert len({normalise(copy) for copy in (text, *copies)}) == 9
        assert not any(name in copy for copy in copies for name in SPECIAL)


def test_what_cannot_become_anything_new_is_the_original_as_it_was_written(folder):
    # Of two tokens, special ones, none is selected at this share; an unknown symbol has no text to come back as.
    augmenter = make_augmenter("ssmba:" + folder, noise=0.0001)
    texts = ["Street  ", "猫", "the\tcouncil"]
    assert augmenter.augment(texts, 2, seed=0) == [[text] * 2 for text in texts]
    only_masks = make_augmenter("ssmba:" + folder, topk=1, random_token=0, leave_unmasked=0)
    (short,) = only_masks.augment(["the"], 5, seed=0)
    assert len({*short, "the"}) == 2, "one likeliest token in the only gap"


def test_a_piece_that_goes_on_a_word_may_begin_a_text(folder):
    model = make_augmenter("ssmba:" + folder)._loaded
    (piece, *_) = (token for token in model._tokenizer.get_vocab() if token.startswith("##"))
    ids = model._tokenizer.convert_tokens_to_ids([piece, "the", "[UNK]", piece])
    assert model.decode([np.array([1]), np.array(ids)]) == f"{piece[2:]} the{piece[2:]}"


@pytest.mark.parametrize("limit", [16, 512])
def test_the_model_never_sees_more_than_it_can_take_and_a_long_text_keeps_its_length(folder, limit):
    augmenter = make_augmenter("ssmba:" + folder, max_length=limit)
    text = " ".join(TEXTS)
    seen = []
    augmenter._loaded._model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    copies = augmenter.augment([text, "The mill."], 4, seed=0)[0]
    assert max(seen) == min(limit, 64)
    length = len(make_tokenizer().encode(text))
    for copy in copies:
        assert abs(len(make_tokenizer().encode(copy)) - length) < 0.1 * length
        parts = [copy[: len(copy) // 3], copy[len(copy) // 3 : -len(copy) // 3], copy[-len(copy) // 3 :]]
        assert all(part not in text for part in parts), "a part was left alone"


@pytest.mark.parametrize("kind", ["Roberta", "DistilBert", "Electra", "ModernBert", "MPNet", "Albert"])
def test_other_architectures_see_only_the_places_and_give_the_same_logits(tmp_path, kind):
    names = {"DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}}
    tokens = {"ModernBert": {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}}
    folder = save_masked_lm(tmp_path / kind, kind, **names.get(kind, {}), **tokens.get(kind, {}))
    model = make_augmenter("ssmba:" + folder, noise=0.3)._loaded
    long = model.windows(" ".join(TEXTS[:4]))
    assert len(long[0].ids) == {"Roberta": 63, "MPNet": 62}.get(kind, 64)
    noisy = [model.corrupt(window, stream(number)) for number, window in enumerate(long + model.windows(TEXTS[0]))]
    with torch.inference_mode():
        found = model._logits(noisy)
        each = [model._model(input_ids=torch.from_numpy(one.ids)[None]).logits[0, one.places] for one in noisy]
    assert torch.allclose(found, torch.cat(each), atol=1e-4)


def test_out_of_memory_halves_the_batch(folder, monkeypatch):
    augmenter = make_augmenter("ssmba:" + folder, batch_size=16)
    made = augmenter.augment(TEXTS, 4, seed=0)
    sizes, limit = [], SimpleNamespace(rows=5)

    def small_memory(module, args, kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > limit.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    augmenter._loaded._model.register_forward_pre_hook(small_memory, with_kwargs=True)
    assert augmenter.augment(TEXTS, 4, seed=0) == made
    assert sizes[:3] == [16, 8, 4]
    limit.rows = 0
    with pytest.raises(GeneratorError, match=r"(?s)does not hold one window of .* tokens.*smaller max_length"):
        augmenter.augment(TEXTS, 1, seed=0)


def test_a_missing_or_unfit_model_says_exactly_what_to_give(folder, tmp_path, monkeypatch):
    wanted = r"(?s)could not be loaded.*Give a masked language model: ssmba:MODEL.*FacebookAI/roberta-base"
    with pytest.raises(GeneratorError, match=wanted):
        make_augmenter("ssmba").augment(TEXTS, 1, 0)  # the default, which is not on this machine
    encoder = save_masked_lm(tmp_path / "encoder", auto="AutoModel")
    with pytest.raises(GeneratorError, match=r"(?s)no masked language model.*head are missing.*Give a masked"):
        make_augmenter(f"ssmba:{encoder}").augment(TEXTS, 1, 0)
    with pytest.raises(GeneratorError, match=r"(?s)no model folder.*Give a masked"):
        make_augmenter(f"ssmba:{tmp_path / 'nowhere'}").augment(TEXTS, 1, 0)
    with pytest.raises(PlanError, match="expected 1 at most together"):
        make_augmenter("ssmba:random_token=0.6,leave_unmasked=0.6")
    with pytest.raises(PlanError, match="leaves no room for text beside 2 special tokens; expected at least 3"):
        make_augmenter(f"ssmba:{folder},max_length=2").augment(TEXTS, 1, 0)
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r'needs torch. Install it with: pip install "synimpute-hf\[local\]"'):
        make_augmenter(f"ssmba:{folder}").augment(TEXTS, 1, 0)
