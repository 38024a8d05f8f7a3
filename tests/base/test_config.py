"""The configuration: defaults, types, overrides, and one clear message for each mistake."""

import re
import subprocess
import sys
from datetime import date

import pytest
import yaml

from medscale.base.config import ConfigError, resolve
from medscale.base.settings import settings_for
from medscale.base.study import runs_of, size_label
from places import ROOT


def test_the_shipped_configurations_are_valid():
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    names = [run.name for run in runs_of(resolve(study))]
    assert names == ["lora_20k", "lora_50k", "lora_100k", "qlora_20k", "qlora_50k", "qlora_100k"]
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    assert len(runs_of(resolve(demo))) == 6


def test_values_from_the_command_line_get_their_types():
    """Snakemake hands over '1' and '0.001', and YAML reads 1e-4 as a text."""
    training = resolve({"training": {"epochs": "2", "learning_rate": "1e-4", "max_steps": "null"}})["training"]
    assert (training["epochs"], training["learning_rate"], training["max_steps"]) == (2, 1e-4, None)


def test_the_more_exact_override_wins():
    config = resolve(
        {
            "overrides": {
                "qlora": {"training": {"learning_rate": "1e-3", "epochs": 2}},
                "100k": {"training": {"learning_rate": 0.002}},
                "qlora_100k": {"training": {"learning_rate": 0.003}, "lora": {"r": 32}},
            }
        }
    )
    runs = {run.name: settings_for(config, run) for run in runs_of(config)}
    rates = {name: settings["training"]["learning_rate"] for name, settings in runs.items()}
    assert rates == {
        "lora_20k": 0.0002,
        "lora_50k": 0.0002,
        "lora_100k": 0.002,
        "qlora_20k": 0.001,
        "qlora_50k": 0.001,
        "qlora_100k": 0.003,
    }
    assert runs["qlora_100k"]["training"]["epochs"] == 2
    assert (runs["qlora_100k"]["lora"]["r"], runs["qlora_20k"]["lora"]["r"]) == (32, 16)


@pytest.mark.parametrize("sizes", [[1000.0, 200], ["1e3", "2e2"]])
def test_whole_numbers_may_be_written_as_floats(sizes):
    config = resolve({"study": {"sizes": sizes}})
    assert [run.name for run in runs_of(config)][:2] == ["lora_1k", "lora_200"]


def test_seeds_after_the_first_are_named():
    config = resolve({"study": {"sizes": [200], "methods": ["lora"], "seeds": [1, 2]}})
    assert [run.name for run in runs_of(config)] == ["lora_200", "lora_200_seed2"]


def test_the_scaling_study_has_seven_sizes_and_a_control_of_equal_steps():
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    scaling = yaml.safe_load((ROOT / "config" / "scaling.yaml").read_text(encoding="utf-8"))
    config = resolve({**study, **scaling, "study": {**study["study"], **scaling["study"]}})
    runs = {run.name: run for run in runs_of(config)}
    assert [run.size for run in runs.values() if run.method == "lora" and run.arm == "main"] == [
        *(1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
    ]
    for method in ("lora", "qlora"):
        control, largest = runs[f"{method}_20k_5epochs"], runs[f"{method}_100k"]
        assert (control.arm, largest.arm) == ("control", "main")
        epochs = [settings_for(config, run)["training"]["epochs"] for run in (control, largest)]
        assert epochs[0] * control.size == epochs[1] * largest.size


@pytest.mark.parametrize(("size", "label"), [(20_000, "20k"), (200, "200"), (1500, "1500"), (1000, "1k")])
def test_labels_of_sizes(size, label):
    assert size_label(size) == label


SECTIONS = (
    "model, data, cleaning, study, chat, lora, quantization, training, pilot, evaluation, statistics, recommendation, "
    "scaling, plots, leakage, sessions, plan, overrides, backup, export, judging, paths"
)
LORA_KEYS = "r, alpha, dropout, target_modules, use_rslora"
CONTROL = {"method": "lora", "size": 20000, "epochs": 2}
MISTAKES = [
    ({"traning": {"epochs": 1}}, f"traning: unknown key (did you mean training?); allowed here: {SECTIONS}"),
    (
        {"lora": {"qqq": 1, "alfa": 2}},
        f"lora.qqq: unknown key; allowed here: {LORA_KEYS}; "
        f"lora.alfa: unknown key (did you mean alpha?); allowed here: {LORA_KEYS}",
    ),
    (
        {"training": {"learning_rate": "fast"}},
        'training.learning_rate = "fast": must be "auto" or a number greater than 0 and at most 1',
    ),
    ({"pilot": {"rates": [0.1]}}, "pilot.rates = [0.1]: must have at least 2 item(s)"),
    ({"training": {"epochs": ["1"]}}, 'training.epochs = ["1"]: must be a number'),
    (
        {"training": {"gradient_checkpointing": 1.0}},
        'training.gradient_checkpointing = 1.0: must be one of "auto", true, false',
    ),
    ({"training": {"epochs": 0}}, "training.epochs = 0: must be greater than 0"),
    ({"training": {"epochs": float("nan")}}, "training.epochs = nan: must be a finite number"),
    ({"training": {"effective_batch": 0}}, "training.effective_batch = 0: must be at least 1"),
    ({"scaling": {"extrapolate": [2, float("inf")]}}, "scaling.extrapolate.1 = inf: must be a finite number"),
    ({"lora": {"dropout": 1}}, "lora.dropout = 1: must be less than 1"),
    (
        {"lora": {"target_modules": []}},
        'lora.target_modules = []: must be "all-linear" or a list of texts, one at least',
    ),
    ({"model": {"revision": ""}}, 'model.revision = "": must not be empty'),
    ({"model": {"revision": 3}}, "model.revision = 3: must be a text or null"),
    (
        {"model": {"endpoint": "hf-mirror.com"}},
        'model.endpoint = "hf-mirror.com": must be an address that begins with https:// or http://',
    ),
    ({"model": {"tiny": {"hidden_size": 100}}}, "model.tiny.hidden_size = 100: must be a multiple of 64"),
    ({"model": {"source": "local"}}, "model.path = null: must name a model directory, because model.source is local"),
    ({"data": {"source": "file"}}, "data.path = null: must name a corpus file, because data.source is file"),
    (
        {"data": {"department_folder": 1, "columns": {"department": "科室"}}},
        "data.department_folder = 1: must be null where data.columns.department names a column, or that null",
    ),
    ({"data": {"csv": {"quote_escape": "single"}}}, 'data.csv.quote_escape = "single": must be one of "double", '),
    ({"data": {"csv": {"delimiter": "::"}}}, 'data.csv.delimiter = "::": must be at most 1 character long'),
    ({"data": {"path": []}}, "data.path = []: must have at least 1 item(s)"),
    ({"data": {"columns": {"question": 3}}}, "data.columns.question = 3: must be a text or a list"),
    (
        {"data": {"source": "demo"}},
        "study.sizes = [20000, 50000, 100000]: the largest, with study.test_size 2000 and study.validation_size 1000, "
        "needs 103000 rows, and data.rows is 6000",
    ),
    ({"cleaning": {"mask_personal_data": "maybe"}}, 'cleaning.mask_personal_data = "maybe": must be true or false'),
    (
        {"cleaning": {"min_question_characters": 21, "max_question_characters": 20}},
        "cleaning.min_question_characters = 21: must be at most max_question_characters, which is 20",
    ),
    (
        {"cleaning": {"min_answer_characters": 21, "max_answer_characters": 20}},
        "cleaning.min_answer_characters = 21: must be at most max_answer_characters, which is 20",
    ),
    ({"study": 3}, "study = 3: must be a section (key: value)"),
    (
        {"study": {"mix": {"path": "a.json", "runs": ["lora_100k"]}}},
        'study.mix.runs[0] = "lora_100k": must be a section (key: value) such as {method: lora, size: 20000}',
    ),
    ({"study": {"sizes": [0]}}, "study.sizes[0] = 0: must be at least 1"),
    ({"study": {"sizes": []}}, "study.sizes = []: must have at least 1 item(s)"),
    ({"study": {"sizes": [500, 500]}}, "study.sizes = [500, 500]: has the same item twice; each may stand once"),
    ({"study": {"seeds": ["x"]}}, 'study.seeds[0] = "x": must be a whole number'),
    ({"study": {"seeds": [4294967296]}}, "study.seeds[0] = 4294967296: must be at most 4294967295"),
    ({"study": {"methods": ["full"]}}, 'study.methods[0] = "full": must be one of "lora", "qlora"'),
    (
        {"study": {"seeds_at": ["smallest"]}},
        'study.seeds_at = ["smallest"]: says where further seeds are trained, and study.seeds has one alone; name '
        "several, or set study.seeds_at: null",
    ),
    (
        {"study": {"seeds": [1, 2], "seeds_at": ["largest", 30000]}},
        'study.seeds_at = ["largest", 30000]: 30000 is none of study.sizes, which are [20000, 50000, 100000]; '
        "take some of these, or smallest, or largest",
    ),
    (
        {"study": {"seeds": [1, 2], "seeds_at": ["biggest"]}},
        'study.seeds_at[0] = "biggest": must be smallest, largest or a size',
    ),
    (
        {"study": {"mix": {"source": "demo", "share": 0.125}}},
        "study.mix.share = 0.125: must be whole percents, such as 0.1, which names the runs",
    ),
    ({"study": {"mix": {"source": "demo", "share": 1.0}}}, "study.mix.share = 1.0: must be at most 0.9"),
    (
        {"study": {"mix": {"source": "demo", "runs": [{"method": "lora", "size": 30000}]}}},
        "study.mix.runs[0].size = 30000: is none of study.sizes, which are [20000, 50000, 100000]; a run with "
        "general rows repeats one of them",
    ),
    (
        {"study": {"methods": ["lora"], "mix": {"source": "demo"}}, "training": {"max_steps": 5}},
        "training.max_steps (in lora_100k_mix10): must be null, because a run with general rows takes more steps than "
        "the run that it is compared with",
    ),
    (
        {"study": {"controls": [CONTROL | {"size": 30000}]}},
        "study.controls[0].size = 30000: must be one of study.sizes, which are [20000, 50000, 100000]: "
        "a control repeats one of them",
    ),
    (
        {"study": {"controls": [{"method": "lora", "size": 20000}]}},
        'study.controls[0] = {"method": "lora", "size": 20000}: needs each of method, size, epochs',
    ),
    (
        {"study": {"controls": [CONTROL]}, "training": {"max_steps": 5}},
        "training.max_steps (in lora_20k_2epochs): must be null, because a control is told by its epochs",
    ),
    (
        {"evaluation": {"floors": ["词"]}},
        'evaluation.floors[0] = "词": must be one of "fixed", "common_words", "department", "bm25"',
    ),
    (
        {"evaluation": {"extra_metrics": ["bertscore"]}},
        "evaluation.bertscore_model = null: must name the directory of an encoder, because evaluation.extra_metrics "
        "has bertscore",
    ),
    (
        {"evaluation": {"max_samples": 2001}},
        "evaluation.max_samples = 2001: must be at most study.test_size, which is 2000; null takes every test item",
    ),
    ({"training": {"micro_batch": 0}}, 'training.micro_batch = 0: must be "auto" or a whole number from 1'),
    ({"training": {"micro_batch": "all"}}, 'training.micro_batch = "all": must be "auto" or a whole number from 1'),
    (
        {"overrides": {"qlorra": {"lora": {"r": 8}}}},
        "overrides.qlorra: no such method, size or run in this study (did you mean qlora?); allowed here: 100k, 20k, "
        "50k, lora, lora_100k, lora_20k, lora_50k, qlora, qlora_100k, qlora_20k, qlora_50k",
    ),
    ({"overrides": {"qlora": {}}}, "overrides.qlora = {}: must not be empty"),
    (
        {"overrides": {"qlora": {"lora": {"rank": 8}}}},
        f"overrides.qlora.lora.rank: unknown key; allowed here: {LORA_KEYS}",
    ),
    (
        {"overrides": {"qlora": {"training": {"max_length": 64}}}},
        "overrides.qlora.training.max_length: cannot differ between runs, because LoRA and QLoRA share the encoded "
        "rows; set training.max_length",
    ),
    (
        {"paths": {"results": "~nobody-of-this-name/研究"}},
        'paths.results = "~nobody-of-this-name/研究": there is no such user; write the folder out',
    ),
]


CODES = {
    "unknown key": "C101",
    "must be (a number|a whole number|a text|a list|a section|true or)": "C102",
    'must be one of ["a-z]*[,"]': "C103",
    "must be (at (least|most) [\\d.]+$|greater|less|a multiple)": "C104",
    "must (not be empty|have at least)": "C105",
    "must be at most 1 character long": "C108",
    "needs each of": "C106",
    "the same item twice": "C107",
    "must be (smallest, largest|an address)": "C108",
    'must be "(auto|all-linear)" or': "C109",
    "a finite number": "C111",
    "no such user": "C112",
    "path = null": "C113",
    "and data.rows is": "C114",
    "must be at most max_": "C115",
    "bertscore_model = null": "C116",
    "max_samples = ": "C117",
    "must be one of study.sizes": "C118",
    "must be null, because a control": "C119",
    "study.seeds has one alone": "C150",
    "is none of study.sizes.* smallest": "C151",
    "must be whole percents": "C152",
    "is none of study.sizes.* general rows": "C153",
    "must be null, because a run with general rows": "C154",
    "no such method, size or run": "C120",
    "max_length: cannot differ": "C121",
    "or that null": "C131",
}


@pytest.mark.parametrize(("config", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_has_the_code_of_its_kind(config, message):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert {caught.value.code} == {code for words, code in CODES.items() if re.search(words, message)}


@pytest.mark.parametrize(
    ("config", "meant"),
    [
        ({"training": {"learning_rate": "Auto"}}, "auto"),
        ({"training": {"micro_batch": "AUTO"}}, "auto"),
        ({"training": {"learning_rate": [1e-4]}}, "0.0001"),
        ({"training": {"precision": "BF16"}}, "bf16"),
        ({"training": {"report_to": "wandb"}}, "[wandb]"),
        ({"study": {"seeds": [1, 2], "seeds_at": "largest"}}, "[largest]"),
        ({"study": {"seeds": [1, 2], "seeds_at": "Smallest, largest"}}, "[smallest, largest]"),
        ({"study": {"seeds": [1, 2], "seeds_at": ["Largest"]}}, "largest"),
        ({"study": {"seeds": 42}}, "[42]"),
        ({"study": {"sizes": ["10k"]}}, "10000"),
        ({"study": {"sizes": "10k,20K"}}, "[10000, 20000]"),
        ({"study": {"methods": "LoRA"}}, "[lora]"),
        ({"lora": {"target_modules": "all_linear"}}, "all-linear"),
        ({"lora": {"target_modules": "q_proj, v_proj"}}, "[q_proj, v_proj]"),
        ({"data": {"encoding": "UTF8"}}, "utf-8"),
        ({"data": {"columns": {"answer": ["回答"]}}}, '"回答"'),
        ({"model": {"source": "ModelScope"}}, "modelscope"),
    ],
    ids=str,
)
def test_what_may_have_been_meant_is_said_and_is_allowed(config, meant):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert caught.value.text.endswith(f" (did you mean {meant}?)")
    ((section, values),) = config.items()
    place = next(key for key, value in values.items() if not (key == "seeds" and isinstance(value, list)))
    right = yaml.safe_load(meant)
    if isinstance(values[place], list) and not isinstance(right, list) and place != "learning_rate":
        right = [right]
    right = {"answer": right} if place == "columns" else right
    resolve({section: values | {place: right}})


@pytest.mark.parametrize(
    "config",
    [
        {"training": {"learning_rate": None}},
        {"study": {"methods": ["full"]}},
        {"study": {"sizes": "many"}},
        {"data": {"csv": "x"}},
        {"model": {"endpoint": ["https://me:secret@mirror"]}},
    ],
    ids=str,
)
def test_nothing_is_meant_where_nothing_allowed_is_near(config):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert "did you mean" not in caught.value.text
    assert "secret" not in caught.value.text


ENDLESS: dict = {}
ENDLESS["model"] = ENDLESS


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ([1], "C102", "the configuration is not usable: it must be sections (key: value), not [1]"),
        ({"paths": {"results": date(2024, 1, 1)}}, "C127", "paths.results = 2024-01-01: YAML reads this as date; "),
        ({"data": {"file": b"a"}}, "C127", "data.file = b'a': YAML reads this as bytes; "),
        ({"study": {None: 1}}, "C127", "study: None cannot be a key; write it in quotes"),
        (ENDLESS, "C128", "model: is nested too deeply, or holds itself "),
        (
            {"chat": {"system_prompt": "\ud83d"}},
            "C129",
            "chat.system_prompt = '\\ud83d': holds half of a surrogate pair",
        ),
        ({"paths": {"results": "a{b}"}}, "C130", 'paths.results = "a{b}": must have no braces '),
        ({"judging": {"path": "of {a}"}}, "C130", 'judging.path = "of {a}": must have no braces '),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("C") else "",
)
def test_what_yaml_has_and_a_configuration_has_not_has_a_code(config, code, message):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert caught.value.code == code
    assert caught.value.text.removeprefix("the configuration is not usable:\n  - ").startswith(message)


def test_of_several_such_values_each_line_has_its_code():
    with pytest.raises(ConfigError) as caught:
        resolve({"paths": {"results": date(2024, 1, 1)}, "chat": {"system_prompt": "\ud83d"}})
    assert [line[-6:] for line in str(caught.value).split("\n  - ")[1:]] == ["[C127]", "[C129]"]


@pytest.mark.parametrize(("config", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_named_and_nothing_else(config, message):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    head, *problems = caught.value.text.split("\n  - ")
    assert head == "the configuration is not usable:"
    if message.endswith(" "):  # a description of the schema follows
        assert [problem[: len(message)] for problem in problems] == [message]
    else:
        assert problems == [message]


@pytest.mark.parametrize(
    "config",
    [
        {"data": {"source": "demo", "rows": 103_000}},
        {"cleaning": {"min_question_characters": 20, "max_question_characters": 20}},
        {"cleaning": {"min_answer_characters": 20, "max_answer_characters": 20}},
        {"evaluation": {"max_samples": 2000}},
        {"study": {"controls": [CONTROL]}},
        {"evaluation": {"extra_metrics": ["bertscore"], "bertscore_model": "bert"}},
        {"evaluation": {"extra_metrics": ["chrf"]}},
        {"model": {"source": "local", "path": "net"}, "data": {"source": "file", "path": "a.csv"}},
        {"overrides": {"lora_20k": {"lora": {"r": 8}}, "20k": {"training": {"epochs": 2}}}},
    ],
    ids=str,
)
def test_what_just_fits_is_no_mistake(config):
    resolved = resolve(config)
    for section, values in config.items():
        assert resolved[section] == resolved[section] | values


@pytest.mark.parametrize(
    ("section", "key", "text", "value"),
    [
        ("training", "max_steps", "7", 7),
        ("training", "max_steps", "null", None),
        ("training", "learning_rate", "1e-4", 1e-4),
        ("training", "gradient_checkpointing", "true", True),
        ("training", "gradient_checkpointing", "auto", "auto"),
        ("training", "micro_batch", "3", 3),
        ("training", "micro_batch", "auto", "auto"),
        ("training", "micro_batch", 2.0, 2),
        ("training", "micro_batch", "2.0", 2),
        ("training", "warmup_ratio", 0.0, 0.0),
        ("training", "max_steps", 7.0, 7),
        ("chat", "system_prompt", "7", "7"),
        ("chat", "system_prompt", "null", "null"),
        ("chat", "system_prompt", "a: [", "a: ["),
        ("study", "sizes", "[300, 200]", [300, 200]),
        ("study", "seeds", ["1", 2.0], [1, 2]),
        ("sessions", "here", {"hours": "9", "hours_per_week": "null"}, {"hours": 9, "hours_per_week": None}),
        ("overrides", "lora", {"training": {"epochs": "2"}}, {"training": {"epochs": 2}}),
    ],
)
def test_a_value_gets_the_type_of_its_key_and_a_text_stays_one(section, key, text, value):
    told = resolve({section: {key: text}})[section][key]
    assert (told, type(told)) == (value, type(value))
    if isinstance(value, list):
        assert [type(item) for item in told] == [int] * len(value)


def test_a_text_that_no_reading_helps_is_named_as_it_was_given():
    with pytest.raises(ConfigError, match=r'training\.epochs = "a: \[": must be a number'):
        resolve({"training": {"epochs": "a: ["}})


def test_numbers_that_json_has_not_are_named_wherever_they_stand():
    infinite = float("inf")
    with pytest.raises(ConfigError) as caught:
        resolve({"sessions": {"here": {"hours": infinite}}, "scaling": {"extrapolate": [infinite]}, "study": {"x": 1}})
    assert str(caught.value).split("\n  - ")[1:] == [
        "sessions.here.hours = inf: must be a finite number [C111]",
        "scaling.extrapolate.0 = inf: must be a finite number [C111]",
    ]


def test_every_section_has_its_defaults():
    plain = resolve({})
    assert list(plain) == SECTIONS.split(", ")
    assert plain["model"]["tiny"]["hidden_size"] == 192
    assert plain["data"]["columns"]["question"] == ["instruction", "input"]
    assert plain["overrides"] == {}
    assert plain["sessions"]["colab"] == {"hours": 12, "hours_per_week": None}
    changed = resolve({"model": {"tiny": {"layers": 3}}})
    assert changed["model"]["tiny"] == plain["model"]["tiny"] | {"layers": 3}
    assert changed["model"]["id"] == plain["model"]["id"]


def test_the_configuration_that_is_handed_over_is_left_alone():
    given = {"study": {"sizes": ["2e2"]}, "paths": {"results": "a/"}}
    assert resolve(given)["paths"]["results"] == "a"
    assert given == {"study": {"sizes": ["2e2"]}, "paths": {"results": "a/"}}


@pytest.mark.parametrize(("path", "told"), [("a/X/", "a/X"), ("/", "/"), ("//", "/"), ("a//", "a"), (".", ".")])
def test_a_folder_loses_the_slash_at_its_end(path, told):
    assert resolve({"paths": {"results": path}})["paths"]["results"] == told


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve({"traning": {}, "training": {"epochs": 0}, "lora": {"r": "big"}})
    assert str(caught.value).count("\n  - ") == 3


def test_snakemake_shows_the_message_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--config", "training={epochs: 0}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1
    assert "training.epochs = 0: must be greater than 0 [C104]\n" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_home_folder_is_written_out_in_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = resolve({"paths": {"results": "~/研究 results/", "resources": "/"}})["paths"]
    assert paths == {"results": f"{tmp_path}/研究 results", "resources": "/"}
    with pytest.raises(ConfigError, match=r'paths\.results = "~nobody-of-this-name/x": there is no such user'):
        resolve({"paths": {"results": "~nobody-of-this-name/x"}})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["retention"], "evaluation.exams.retention: is the name of the general texts"),
        (["a", "a_lo"], "evaluation.exams.a_lo: ends as an interval's column does"),
        (["x_HI"], "evaluation.exams.x_HI: ends as"),
        (["cmb", "CMB"], "evaluation.exams.CMB: differs from cmb in capital letters only"),
    ],
)
def test_names_of_exams_that_would_be_anothers_are_refused(names, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        resolve({"evaluation": {"exams": {name: {"source": "demo"} for name in names}}})
    assert caught.value.code == "C138"


@pytest.mark.parametrize(
    ("exam", "said"),
    [
        ({"permutations": "all", "scored_by": "text"}, "evaluation.exams.a.permutations = all: must be 1"),
        ({"description": "关于{subjct}的题"}, "evaluation.exams.a.description: {subjct} stands for nothing"),
        ({"max_questions": 5}, "evaluation.exams.a.max_questions = 5: questions of the demo come in eights"),
        ({"rows": 4}, "evaluation.exams.a.rows = 4: questions of the demo come in eights"),
    ],
)
def test_settings_of_an_exam_that_would_do_nothing_are_refused(exam, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        resolve({"evaluation": {"exams": {"a": {"source": "demo"} | exam}}})
    assert caught.value.code == "C139"
    resolve(
        {"evaluation": {"exams": {"a": {"source": "demo", "description": "关于{subject}的题", "permutations": "all"}}}}
    )


def test_a_name_of_an_exam_is_told_from_its_settings():
    with pytest.raises(ConfigError, match=r'evaluation\.exams: "我的 考试" cannot be a name there; take Latin letters'):
        resolve({"evaluation": {"exams": {"我的 考试": {"source": "demo"}}}})
