"""Every generator that is found keeps the same contract; replay rebuilds what another one wrote."""

from pathlib import Path

import pytest
from conftest import make_rows
from datasets import Dataset

from synimpute_hf import SyntheticImputer
from synimpute_hf.errors import GeneratorError
from synimpute_hf.generators import Generator, make_generator
from synimpute_hf.registry import load_plugin, parse_spec, plugin_names
from synimpute_hf.seeding import canonical_json

FOUND = plugin_names("generators")


def test_found_by_file_name():
    assert FOUND == ["echo", "local", "openai", "ray", "replay", "transformers"]


def test_a_third_partys_generator_is_found_by_its_entry_point(scripted):
    assert "scripted" in plugin_names("generators")
    assert make_generator(scripted("x")).name == "scripted"


@pytest.mark.parametrize("name", FOUND)
def test_every_generator_is_cheap_to_make_and_says_who_it_is(name, tmp_path):
    plugin = load_plugin("generators", name, GeneratorError)
    assert issubclass(plugin, Generator)
    assert plugin.key == name
    assert plugin.__doc__
    argument = str(tmp_path / "model") if plugin.takes_argument else ""
    assert plugin.from_options(argument, {}).settings == plugin.settings_class()


@pytest.mark.parametrize("name", ["echo", "local"])
def test_identity_is_plain_and_stable(name):
    identity = make_generator(name).identity
    assert canonical_json(identity) == canonical_json(make_generator(name).identity)
    assert set(identity) == {"name", "form", "context_tokens", "parameters"}
    assert identity["form"] in ("chat", "continuation")


def test_sampling_settings_are_part_of_the_identity():
    assert make_generator("local").identity != make_generator("local", temperature=1.0).identity


def test_specs():
    assert parse_spec("transformers:a/b,batch_size=8,top_p=0.9") == (
        "transformers",
        "a/b",
        {"batch_size": "8", "top_p": "0.9"},
    )
    assert parse_spec("replay:dir/with,comma/j.sqlite") == ("replay", "dir/with,comma/j.sqlite", {})
    assert parse_spec("echo") == ("echo", "", {})


@pytest.fixture
def ds():
    return Dataset.from_dict(make_rows())


@pytest.mark.parametrize("spec", ["echo", "echo:form=continuation,context=900"])
def test_replay_rebuilds_a_run_without_its_generator(tmp_path, ds, spec):
    first = SyntheticImputer(target=20, generator=spec, journal=tmp_path / "journal.sqlite").fit(ds)
    rows = first(ds).to_list()
    for source in (tmp_path, tmp_path / "journal.sqlite"):
        again = SyntheticImputer(target=20, generator=f"replay:{source}", journal=tmp_path / f"{source.name}.2").fit(ds)
        assert again(ds).to_list() == rows
        assert again.plan.generator == "echo"


def test_replay_of_another_run_is_told(tmp_path, ds):
    first = SyntheticImputer(target=20, generator="echo", journal=tmp_path / "journal.sqlite").fit(ds)
    first(ds)
    other = SyntheticImputer(target=20, seed=9, generator=f"replay:{tmp_path}", journal=tmp_path / "2.sqlite").fit(ds)
    outcome = other.generate()
    assert outcome.failed == 8
    assert "not in the replayed journal" in next(iter(outcome.classes[0].failed))


def test_replay_of_several_generators_asks_which(tmp_path, ds, scripted):
    for spec in ("echo", scripted("SEED")):
        SyntheticImputer(target=20, generator=spec, journal=tmp_path / "journal.sqlite").fit(ds).generate()
    with pytest.raises(GeneratorError, match=r"several generators: .*Say which: replay:.*,generator="):
        SyntheticImputer(target=20, generator=f"replay:{tmp_path}").fit(ds).generate()
    chosen = SyntheticImputer(
        target=20, generator=f"replay:{tmp_path},generator=echo", journal=tmp_path / "2.sqlite"
    ).fit(ds)
    assert {row.generator for row in chosen.generate().rows} == {"echo"}
    with pytest.raises(GeneratorError, match="no answers of 'gpt'"):
        SyntheticImputer(target=20, generator=f"replay:{tmp_path},generator=gpt").fit(ds).generate()


def test_ray_workers_write_the_same_rows_under_the_same_identity(ds, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def imputer(spec, journal, **options):
        return SyntheticImputer(target=30, generator=spec, generator_options=options, journal=tmp_path / journal).fit(
            ds
        )

    alone = imputer("echo", "1.sqlite").generate()
    shared = imputer("ray:echo", "2.sqlite", workers=2, chunk=4, options={"delay": 0.01}).generate()
    assert shared.rows == alone.rows
    assert imputer("echo", "2.sqlite").generate().asked == 0
    with pytest.raises(GeneratorError, match="Ask for fewer"):
        imputer("ray:echo", "3.sqlite", workers=2, gpus_per_worker=64).generate()
    with pytest.raises(GeneratorError, match="paid"):
        imputer("ray:openai:gpt-4o", "4.sqlite").generate()
