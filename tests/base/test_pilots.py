"""Which runs take a pilot's rate, what a pilot tries, and what it makes stale."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.config import ConfigError, resolve
from medscale.base.identity import pilot_settings, planned_fingerprint, trained_fingerprint
from medscale.base.pilots import is_auto, pilot_steps, piloted, pilots_of, rates_of
from medscale.base.study import runs_of

STUDY = {"study": {"sizes": [100, 200, 400]}, "data": {"source": "demo"}, "model": {"source": "tiny"}}


def study(rate="auto", **sections):
    config = copy.deepcopy(STUDY) | {"training": {"learning_rate": rate}}
    for section, values in sections.items():
        config[section] = config.get(section, {}) | values
    return resolve(config)


def ends(config, method="lora"):
    return [run.name for run in piloted(config, method)]


def test_a_number_needs_no_pilot_unless_one_is_asked_for():
    assert pilots_of(study(0.001)) == []
    checked = study(0.001, pilot={"check": True})
    assert ends(checked) == ["lora_100", "lora_400"]
    assert rates_of(checked, runs_of(checked)[0]) == [0.0001, 0.0003, 0.001]
    other = study(0.0005, pilot={"check": True})
    assert rates_of(other, runs_of(other)[0]) == [0.0001, 0.0003, 0.0005, 0.001], "the fixed one is tried, too"


def test_a_check_changes_no_choice():
    mixed = {"overrides": {"lora_200": {"training": {"learning_rate": "auto"}}}}
    plain, checked = study(0.001, **mixed), study(0.001, **mixed, pilot={"check": True})
    assert ends(checked) == ends(plain) == ["lora_200"]
    assert planned_fingerprint(checked, "lora_200", "m", "d") == planned_fingerprint(plain, "lora_200", "m", "d")
    assert ends(checked, "qlora") == ["qlora_100", "qlora_400"], "which has fixed rates alone"


def test_auto_tries_the_smallest_and_the_largest_size_of_each_method():
    config = study()
    assert pilots_of(config) == ["lora", "qlora"]
    assert ends(config, "qlora") == ["qlora_100", "qlora_400"]
    assert ends(study(study={"sizes": [100]})) == ["lora_100"]
    assert ends(study(study={"seeds": [7, 8]})) == ["lora_100", "lora_400"], "of the first seed"


def test_a_method_a_size_or_a_run_may_be_fixed():
    fixed = {"training": {"learning_rate": 0.001}}
    assert pilots_of(study(overrides={"qlora": fixed})) == ["lora"]
    assert ends(study(overrides={"400": fixed})) == ["lora_100", "lora_200"]
    assert ends(study(0.001, overrides={"lora_200": {"training": {"learning_rate": "auto"}}})) == ["lora_200"]
    config = study(overrides={"lora_100": fixed})
    assert [run.name for run in runs_of(config) if is_auto(config, run)] == [
        *("lora_200", "lora_400", "qlora_100", "qlora_200", "qlora_400")
    ]


def test_a_control_without_a_run_that_could_be_tried_is_told():
    control = {"methods": ["lora"], "controls": [{"method": "qlora", "size": 100, "epochs": 2}]}
    with pytest.raises(ConfigError, match=r"in qlora_100_2epochs.*qlora has no run of 100 rows.*C143"):
        study(study=control)
    assert ends(study(study=control | {"methods": ["lora", "qlora"]}), "qlora") == ["qlora_100", "qlora_400"]


@given(steps=st.integers(1, 10**6), share=st.floats(1e-6, 1), least=st.integers(2, 1000))
def test_a_pilot_is_no_longer_than_its_run_and_no_shorter_than_declared(steps, share, least):
    taken = pilot_steps({"share": share, "least_steps": least}, steps)
    assert 1 <= taken <= steps
    assert taken == steps or taken >= least
    assert taken >= min(steps, share * steps - 1e-3)


def test_another_grid_makes_runs_stale_and_no_training_another():
    """The params change, so that Snakemake calls the run; the folder of its checkpoints does not."""
    one, other = study(), study(pilot={"rates": [0.0001, 0.001]})
    assert planned_fingerprint(one, "lora_100", "m", "d") != planned_fingerprint(other, "lora_100", "m", "d")
    basis = [planned_fingerprint(config, "lora_100", "m", "d", choice=False) for config in (one, other)]
    assert basis[0] == basis[1]
    trained = {trained_fingerprint(basis[0], "lora_100", "t", "v", "m", rate) for rate in (0.001, 0.002, None)}
    assert len(trained) == 3


def test_the_grid_is_no_part_of_a_run_with_a_number():
    one, other = study(0.001), study(0.001, pilot={"rates": [0.1, 0.2], "check": True, "share": 0.5})
    for name in ("lora_100", "base", "floor_bm25"):
        plain = planned_fingerprint(one, name, "m", "d")
        assert plain == planned_fingerprint(other, name, "m", "d")
        assert plain == planned_fingerprint(one, name, "m", "d", choice=False)


def test_what_was_tried_is_kept_whatever_the_grid_and_for_nothing_else():
    def kept(**sections):
        sizes = pilot_settings(study(**sections), "lora", "m", "d")["sizes"]
        return [sizes[label]["fingerprint"] for label in ("100", "400")]

    plain = kept()
    assert plain == kept(pilot={"rates": [0.0002, 0.01], "extend": False})
    assert plain == kept(training={"learning_rate": "auto", "micro_batch": 2})
    changes = ({"pilot": {"share": 0.5}}, {"lora": {"r": 4}}, {"study": {"sizes": [100, 400], "seeds": [1]}})
    changes += ({"training": {"learning_rate": "auto", "effective_batch": 4}}, {"pilot": {"validations": 3}})
    for change in changes:
        assert not set(plain) & set(kept(**change)), change
