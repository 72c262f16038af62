"""The quick way to train against the plain one: same seeds, same scores, within a tolerance that is stated here."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

for needed in ("torch", "transformers", "sklearn"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}: see the README's section Install", allow_module_level=True)

import torch  # noqa: E402
import transformers  # noqa: E402
from masked_lm import TEXTS, make_tokenizer, save_masked_lm  # noqa: E402
from tokenizers import processors  # noqa: E402

from synimpute_hf.classifiers import Fit, make_classifier  # noqa: E402
from synimpute_hf.classifiers import transformers as ours  # noqa: E402

TOLERANCE = 1e-5
"""Of a probability, after five epochs in single precision. Adam divides by gradients that are nearly 0, so rounding
grows; the largest difference that was measured is 3e-7."""
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
OPTIONS = {"epochs": 5, "batch_size": 8, "learning_rate": 1e-2, "max_length": 40, "bf16": False}
ROWS, TESTED = 42, 12


def make_texts():
    """Texts of 2 to 30 words in three classes; each class prefers the words of two sentences."""
    draws = np.random.default_rng(0)
    texts, labels = [], []
    for row in range(ROWS):
        label = row % 3
        words = " ".join(TEXTS[2 * label : 2 * label + 2]).split() + TEXTS[row % len(TEXTS)].split()[:4]
        texts.append(" ".join(draws.choice(words, draws.integers(2, 30))))
        labels.append(label)
    return texts, np.array(labels)


def make_fit(labels, classes=3, seed=5, weights=None):
    order = np.random.default_rng(1).permutation(ROWS)
    train, test = order[TESTED:], order[:TESTED]
    known = labels[train] % classes
    return Fit(train, known, np.ones(len(train)) if weights is None else weights, test, classes, seed)


def save_encoder(folder, kind, **options):
    """Write a tiny encoder; RoBERTa's has its own special tokens, and positions that count from the padding token's."""
    options = {"num_hidden_layers": 3, "initializer_range": 0.02, **NO_DROPOUT, **options}
    if kind == "Bert":
        return save_masked_lm(folder, auto="AutoModel", **options)
    tokenizer = make_tokenizer()
    state = tokenizer.backend_tokenizer
    # 0 and 1 change places: RoBERTa's padding token is number 1.
    content = state.to_str().replace('"[PAD]"', '"<swap>"').replace('"[UNK]"', '"[PAD]"').replace('"<swap>"', '"[UNK]"')
    backend = type(state).from_str(content)
    backend.model.unk_token = "[UNK]"
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    assert tokenizer.pad_token_id == 1
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=66,
        pad_token_id=1,
        type_vocab_size=1,
        hidden_size=32,
        num_attention_heads=2,
        intermediate_size=64,
        **options,
    )
    torch.manual_seed(0)
    model = transformers.RobertaModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def draw_head(model, seed):
    """Draw a head as transformers does: normal weights of the config's width, no bias."""
    transformers.set_seed(seed)
    for name, module in model.named_modules():
        if name.startswith("classifier") and isinstance(module, torch.nn.Linear):
            with torch.no_grad():
                module.weight.normal_(0.0, model.config.initializer_range)
                module.bias.zero_()


def plain(folder, texts, fit, frozen=0, epochs=5, size=8, rate=1e-2, max_length=40, weighted=False):
    """A fresh model, its whole vocabulary, one padded batch a step, PyTorch's own loop; returns probabilities."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=fit.classes, dtype=torch.float32
    )
    draw_head(model, fit.seed)
    base = model.base_model
    for module in [base.embeddings, *base.encoder.layer[:frozen]] if frozen else []:
        module.requires_grad_(False)
    model.train()

    def encode(rows):
        chosen = [texts[row] for row in rows]
        return tokenizer(chosen, truncation=True, max_length=max_length, padding=True, return_tensors="pt")

    lengths = np.array([len(tokenizer(texts[row], truncation=True, max_length=max_length)[0]) for row in fit.train])
    order = np.random.default_rng(fit.seed)
    steps = [batch for _ in range(epochs) for batch in ours.batches_by_length(lengths, size, order)]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, eps=1e-6, weight_decay=0.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, len(steps))
    for batch in steps:
        logits = model(**encode(fit.train[batch])).logits
        labels = torch.tensor(fit.labels[batch])
        if weighted:
            losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            loss = (losses * torch.tensor(fit.weights[batch] / fit.weights.mean(), dtype=torch.float32)).mean()
        else:
            loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    with torch.inference_mode():
        return torch.softmax(model(**encode(fit.test)).logits.double(), -1).numpy()


def difference(a, b):
    found = float(np.abs(a - b).max())
    print(f"largest difference of a probability: {found:.1e}")
    return found


@pytest.fixture(scope="module")
def data():
    return make_texts()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    return {kind: save_encoder(folder / kind, kind) for kind in ("Bert", "Roberta")}


def start(folder, texts, **more):
    classifier = ours.TransformersClassifier.from_options(folder, {**OPTIONS, **more})
    return classifier, classifier.prepare(texts)


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
@pytest.mark.parametrize("classes", [2, 3])
def test_same_seed_same_probabilities_as_the_plain_path(folders, data, kind, classes):
    texts, labels = data
    fit = make_fit(labels, classes)
    classifier, features = start(folders[kind], texts)
    found = classifier.fit_predict(features, fit)
    assert found.shape == (TESTED, classes)
    assert difference(found, plain(folders[kind], texts, fit)) < TOLERANCE
    reusable = classifier._model(classes, features)
    reusable.reset(fit.seed)
    untrained = ours._predict(reusable, features, fit)
    assert difference(found, untrained) > 0.02, "nothing was learnt: the comparison would show nothing"


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
@pytest.mark.parametrize("layers", [1, 2])
def test_train_layers_is_the_plain_path_with_the_layers_below_frozen(folders, data, kind, layers):
    texts, labels = data
    fit = make_fit(labels)
    classifier, features = start(folders[kind], texts, train_layers=layers)
    found = classifier.fit_predict(features, fit)
    expected = plain(folders[kind], texts, fit, frozen=3 - layers)
    assert difference(found, expected) < TOLERANCE
    assert difference(expected, plain(folders[kind], texts, fit)) > 1e-3, "what is frozen makes no difference"


def test_weights_count_as_in_a_weighted_loss(folders, data):
    texts, labels = data
    weights = np.where(labels[make_fit(labels).train] == 1, 3.0, 0.5)
    fit = make_fit(labels, weights=weights)
    classifier, features = start(folders["Bert"], texts)
    found = classifier.fit_predict(features, fit)
    assert difference(found, plain(folders["Bert"], texts, fit, weighted=True)) < TOLERANCE
    even = classifier.fit_predict(features, make_fit(labels))
    assert difference(found, even) > 0.05
    fours = classifier.fit_predict(features, make_fit(labels, weights=np.full(len(fit.train), 4.0)))
    assert np.array_equal(even, fours), "weights are relative"


def test_a_fit_does_not_know_of_those_before_it(folders, data):
    texts, labels = data
    fit = make_fit(labels)
    classifier, features = start(folders["Bert"], texts)
    first = classifier.fit_predict(features, fit)
    other = classifier.fit_predict(features, replace(fit, seed=6))
    assert np.array_equal(classifier.fit_predict(features, fit), first)
    assert difference(first, other) > 1e-3
    ours._reusable.cache_clear()
    torch.rand(3)
    assert np.array_equal(classifier.fit_predict(features, fit), first), "not even of how the process began"


def test_the_head_is_drawn_by_the_seed(folders, data):
    classifier, features = start(folders["Roberta"], data[0])
    reusable = classifier._model(3, features)
    heads = []
    for seed in (1, 2, 1):
        reusable.reset(seed)
        heads.append({name: value.clone() for name, value in reusable.model.classifier.state_dict().items()})
    assert all(torch.equal(heads[0][name], heads[2][name]) for name in heads[0])
    for name in ("dense.weight", "out_proj.weight"):
        assert not torch.equal(heads[0][name], heads[1][name])
    assert 0.018 < heads[0]["dense.weight"].std() < 0.022  # the config's initializer_range is 0.02


def test_a_model_that_came_with_a_trained_head(data, tmp_path):
    # transformers marks loaded weights, and then does not draw them: a fit would begin with the head of the one before.
    texts, labels = data
    fit = make_fit(labels)
    path = save_masked_lm(
        tmp_path / "m", auto="AutoModelForSequenceClassification", num_hidden_layers=3, num_labels=3, **NO_DROPOUT
    )
    classifier, features = start(path, texts)
    first = classifier.fit_predict(features, fit)
    assert np.array_equal(classifier.fit_predict(features, fit), first)
    assert difference(first, plain(path, texts, fit)) < TOLERANCE
    assert classifier.fit_predict(features, make_fit(labels, 2)).shape == (TESTED, 2), "another number of classes"


def test_weights_that_the_pretrained_model_lacks(data, tmp_path):
    # A masked language model has no pooler. It is drawn by the fit's seed, not by what happened before in the process.
    texts, labels = data
    path = save_masked_lm(tmp_path / "m", **NO_DROPOUT)
    results = []
    for noise in (1, 2):
        ours._reusable.cache_clear()
        torch.manual_seed(noise)
        classifier, features = start(path, texts)
        results.append(classifier.fit_predict(features, make_fit(labels)))
    assert np.array_equal(*results)


def test_dropout_is_on_in_training_and_off_in_prediction(data, tmp_path):
    texts, labels = data
    path = save_encoder(tmp_path / "m", "Bert", hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    classifier, features = start(path, texts)
    fit = make_fit(labels)
    found = classifier.fit_predict(features, fit)
    assert np.array_equal(classifier.fit_predict(features, fit), found)
    assert difference(found, plain(path, texts, fit)) > 1e-3
    reusable = classifier._model(3, features)
    assert difference(ours._predict(reusable, features, fit), found) < 1e-6  # here on several threads


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
def test_logits_with_the_vocabulary_that_occurs_are_those_with_all_of_it(folders, data, kind):
    texts, labels = data
    classifier, features = start(folders[kind], texts[:20])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind])
    assert len(features["vocabulary"]) < len(tokenizer)
    reusable = classifier._model(3, features)
    reusable.reset(4)
    full = transformers.AutoModelForSequenceClassification.from_pretrained(folders[kind], num_labels=3).eval()
    draw_head(full, 4)
    batch = tokenizer(texts[:20], truncation=True, max_length=40, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = torch.softmax(full(**batch).logits, -1).numpy()
    fit = replace(make_fit(labels), test=np.arange(20))
    assert difference(ours._predict(reusable, features, fit), expected) < 1e-6


def test_the_last_layer_is_shortened_only_where_the_head_reads_one_token(folders, data, tmp_path):
    classifier, features = start(folders["Bert"], data[0])
    assert "forward" in vars(classifier._model(3, features).model.base_model.encoder.layer[-1])
    path = save_masked_lm(tmp_path / "m", "DistilBert", auto="AutoModel", dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    classifier, features = start(path, data[0])
    assert classifier.fit_predict(features, make_fit(data[1])).shape == (TESTED, 3)

    class Mean(torch.nn.Module):
        def forward(self, states):
            return states.mean(1)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(folders["Bert"], num_labels=3)
    model.base_model.pooler = Mean()
    ours._shorten(model)
    assert "forward" not in vars(model.base_model.encoder.layer[-1])


def test_long_texts_are_cut(folders, data):
    texts, labels = data
    long = [f"{text} {'and so on ' * 200}" for text in texts]
    classifier, features = start(folders["Bert"], long)
    lengths = np.diff(features["starts"])
    assert (lengths == 40).all()
    assert classifier.fit_predict(features, make_fit(labels)).shape == (TESTED, 3)
    wider = make_classifier(f"transformers:{folders['Roberta']},epochs=1,max_length=500")
    features = wider.prepare(long)
    assert np.diff(features["starts"]).max() == 64, "no more than the model has positions for"
    assert wider.fit_predict(features, make_fit(labels)).shape == (TESTED, 3)


def test_a_text_without_tokens(folders, data, tmp_path):
    texts, labels = data
    texts = ["", *texts[1:-1], " "]
    for name, cut in (("with", False), ("without", True)):
        path = save_encoder(tmp_path / name, "Bert")
        if cut:
            tokenizer = transformers.AutoTokenizer.from_pretrained(path)
            tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
            tokenizer.save_pretrained(path)
            assert transformers.AutoTokenizer.from_pretrained(path)("")["input_ids"] == []
        classifier, features = start(path, texts)
        assert np.diff(features["starts"]).min() == (1 if cut else 2)
        for only in (np.array([0]), make_fit(labels).test):
            found = classifier.fit_predict(features, replace(make_fit(labels), test=only))
            assert np.isfinite(found).all()
            assert np.allclose(found.sum(1), 1)


def test_parts_of_a_batch():
    lengths = np.array([50, 48, 47, 12, 11, 11, 10])
    assert ours._parts(lengths, 0) == [slice(k, k + 1) for k in (0, 1, 2)] + [slice(3, 4), slice(4, 6), slice(6, 7)]
    assert ours._parts(lengths, 20) == [slice(0, 3), slice(3, 7)]
    assert ours._parts(lengths, 10**9) == [slice(0, 7)]


# -- linear ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear(folders, data):
    classifier = make_classifier(f"linear:{folders['Bert']}")
    return classifier, classifier.prepare(data[0])


def test_linear_is_scikit_learns_logistic_regression(linear, data):
    from sklearn.linear_model import LogisticRegression

    classifier, features = linear
    vectors = features["vectors"]
    assert np.allclose((vectors**2).sum(1), 1, atol=1e-6)
    weights = np.random.default_rng(0).uniform(0.2, 3, ROWS - TESTED)
    fit = make_fit(data[1], weights=weights)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(vectors[fit.train], fit.labels, weights)
    assert np.array_equal(classifier.fit_predict(features, fit), model.predict_proba(vectors[fit.test]))
    unweighted = LogisticRegression(C=10.0, max_iter=1000).fit(vectors[fit.train], fit.labels)
    even = classifier.fit_predict(features, make_fit(data[1]))
    assert difference(even, unweighted.predict_proba(vectors[fit.test])) < 1e-9


def test_linear_counts_a_row_of_weight_two_twice(linear, data):
    classifier, features = linear
    fit = make_fit(data[1])
    weights = fit.weights.copy()
    weights[:7] = 2
    doubled = replace(
        fit,
        train=np.concatenate([fit.train, fit.train[:7]]),
        labels=np.concatenate([fit.labels, fit.labels[:7]]),
        weights=np.ones(len(fit.train) + 7),
    )
    twice = classifier.fit_predict(features, replace(fit, weights=weights))
    # L-BFGS stops where the gradient is below 1e-4.
    assert difference(twice, classifier.fit_predict(features, doubled)) < 1e-3
    assert difference(twice, classifier.fit_predict(features, fit)) > 5e-3


def test_linear_without_a_class_in_the_training_part(linear, data):
    classifier, features = linear
    fit = make_fit(data[1])
    there = fit.labels != 1
    part = replace(fit, train=fit.train[there], labels=fit.labels[there], weights=fit.weights[there])
    found = classifier.fit_predict(features, part)
    assert (found[:, 1] == 0).all()
    assert np.allclose(found.sum(1), 1)
    alone = fit.labels == 2
    only = replace(fit, train=fit.train[alone], labels=fit.labels[alone], weights=fit.weights[alone])
    assert (classifier.fit_predict(features, only) == [0, 0, 1]).all()
