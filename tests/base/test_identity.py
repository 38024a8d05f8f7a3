"""A run's fingerprint changes with all that decides its result, and with nothing else."""

import copy

import pytest

from medscale.base import identity
from medscale.base.config import resolve
from medscale.base.identity import planned_fingerprint, predicted_fingerprint, trained_fingerprint

STUDY = {"study": {"sizes": [100, 200]}, "data": {"source": "demo"}, "model": {"source": "tiny"}}


def fingerprint(name="lora_100", model="m", data="d", **sections):
    config = copy.deepcopy(STUDY)
    for section, values in sections.items():
        config[section] = config.get(section, {}) | values
    return planned_fingerprint(resolve(config), name, model, data)


PLAIN = {name: fingerprint(name) for name in ("lora_100", "lora_200", "qlora_100", "base", "floor_bm25")}


def test_every_row_has_its_own_and_always_the_same():
    assert len({PLAIN[name] for name in ("lora_100", "lora_200", "qlora_100", "base")}) == 4
    assert fingerprint("lora_100") == PLAIN["lora_100"]
    assert all(len(digest) == 16 for digest in PLAIN.values())


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "changed",
    [
        {"data": "other"},
        {"cleaning": {"mask_personal_data": False}},
        {"study": {"split_seed": 7}},
        {"study": {"similarity_threshold": 0.5}},
        {"study": {"test_size": 50}},
        {"study": {"validation_size": 50}},
    ],
    ids=str,
)
def test_what_every_row_depends_on(name, changed):
    assert fingerprint(name, **changed) != PLAIN[name]


@pytest.mark.parametrize("changed", [{"model": "other"}, {"chat": {"system_prompt": "你好"}}], ids=str)
def test_what_every_row_with_a_model_depends_on(changed):
    for name in ("lora_100", "qlora_100", "base"):
        assert fingerprint(name, **changed) != PLAIN[name]
    assert fingerprint("floor_bm25", **changed) == PLAIN["floor_bm25"]


@pytest.mark.parametrize(
    "said",
    [
        {"encoding": "big5"},
        {"department_folder": 1},
        {"csv": {"delimiter": ";"}},
        {"csv": {"quote_escape": "double"}},
        {"csv": {"header": 2}},
        {"csv": {"multiline": True}},
        {"json": {"rows_key": "data"}},
    ],
    ids=str,
)
def test_so_does_what_is_said_of_the_files(said):
    config = resolve(STUDY | {"data": {"source": "demo"} | said})
    assert planned_fingerprint(config, "floor_bm25", "m", "d") != PLAIN["floor_bm25"]


def test_the_columns_count_and_where_the_corpus_is_from_does_not():
    columns = {"columns": {"question": ["ask"], "answer": "answer", "department": None}}
    config = resolve(STUDY | {"data": {"source": "demo"} | columns})
    assert planned_fingerprint(config, "base", "m", "d") != PLAIN["base"]
    elsewhere = STUDY | {"data": {"source": "huggingface", "id": "a/b", "file": "c.csv", "endpoint": "http://x"}}
    elsewhere["model"] = {"source": "local", "path": "/somewhere"}
    assert planned_fingerprint(resolve(elsewhere), "base", "m", "d") == PLAIN["base"]


@pytest.mark.parametrize(
    "changed",
    [
        {"training": {"learning_rate": 0.5}},
        {"training": {"epochs": 2}},
        {"lora": {"r": 4}},
        {"quantization": {"double_quant": False}},
        {"study": {"seeds": [7]}},
    ],
    ids=str,
)
def test_what_only_trained_rows_depend_on(changed):
    assert fingerprint("lora_100", **changed) != PLAIN["lora_100"]
    assert fingerprint("base", **changed) == PLAIN["base"]
    assert fingerprint("floor_bm25", **changed) == PLAIN["floor_bm25"]


@pytest.mark.parametrize(
    "changed",
    [
        {"cleaning": {"max_dropped_share": 0.2}},
        {"training": {"micro_batch": 2}},
        {"training": {"report_to": ["swanlab", "wandb", "mlflow"], "offline": True}},
        {"plots": {"language": "zh", "vector": ["svg"]}},
        {"paths": {"results": "elsewhere", "resources": "/mnt"}},
        {"study": {"sizes": [100, 150, 200]}},
        {"evaluation": {"batch_size": 2}},
        {"recommendation": {"margin": 2}},
    ],
    ids=str,
)
def test_what_no_row_depends_on(changed):
    assert {name: fingerprint(name, **changed) for name in PLAIN} == PLAIN


def test_floors_learn_from_the_largest_set():
    assert fingerprint("floor_bm25", study={"sizes": [100, 300]}) != PLAIN["floor_bm25"]
    assert fingerprint("base", study={"sizes": [100, 300]}) == PLAIN["base"]


@pytest.mark.parametrize("script", identity.MADE_BY)
def test_the_code_of_each_script_on_the_way_counts(monkeypatch, script):
    code = identity.code_digest
    monkeypatch.setattr(identity, "code_digest", lambda name: "changed" if name == script else code(name))
    assert fingerprint("lora_100") != PLAIN["lora_100"]
    assert fingerprint("base") == PLAIN["base"]


def test_the_code_of_the_floors_counts_for_them_alone(monkeypatch):
    code = identity.code_digest
    monkeypatch.setattr(identity, "code_digest", lambda name: "changed" if name == "floor.py" else code(name))
    assert fingerprint("floor_bm25") != PLAIN["floor_bm25"]
    assert fingerprint("lora_100") == PLAIN["lora_100"]


def test_a_training_is_told_from_every_other():
    plain = trained_fingerprint("planned", "lora_100", "train", "validation", "model")
    others = [
        trained_fingerprint("x", "lora_100", "train", "validation", "model"),
        trained_fingerprint("planned", "x", "train", "validation", "model"),
        trained_fingerprint("planned", "lora_100", "x", "validation", "model"),
        trained_fingerprint("planned", "lora_100", "train", "x", "model"),
        trained_fingerprint("planned", "lora_100", "train", "validation", "x"),
    ]
    assert len({plain, *others}) == 6
    assert len(plain) == 16


def test_predictions_carry_the_fingerprint_of_their_training():
    assert predicted_fingerprint("planned", {"provenance": {"fingerprint": "abc"}}, "model") == "abc"
    base = predicted_fingerprint("planned", None, "model")
    assert base != predicted_fingerprint("planned", None, "other")
    assert base != predicted_fingerprint("other", None, "model")
    assert len(base) == 16


def test_general_rows_are_part_of_the_runs_that_are_trained_on_them_and_of_no_others():
    asked = {"source": "demo", "share": 0.1}

    def of(name, content="x", **changed):
        config = resolve(STUDY | {"study": STUDY["study"] | {"mix": asked | changed}})
        return planned_fingerprint(config, name, "m", "d", mix=content)

    assert all(of(name) == plain for name, plain in PLAIN.items())
    mixed = of("lora_200_mix10")
    assert mixed not in PLAIN.values()
    assert of("lora_200_mix10", content="y") != mixed
    assert of("lora_200_mix10", columns={"question": "ask", "answer": "answer"}) != mixed
    assert of("lora_200_mix10", system_prompt="你好") != mixed
    assert of("lora_200_mix20", share=0.2) != mixed
    assert of("lora_200_mix10", path="elsewhere") == mixed


def test_further_seeds_at_some_sizes_make_no_run_another_one():
    study = STUDY["study"] | {"seeds": [42, 7]}
    several = resolve(STUDY | {"study": study | {"seeds_at": ["largest"]}})
    everywhere = resolve(STUDY | {"study": study})
    for name in ("lora_100", "lora_200", "lora_200_seed7"):
        assert planned_fingerprint(several, name, "m", "d") == planned_fingerprint(everywhere, name, "m", "d")
