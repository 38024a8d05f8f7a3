"""BERTScore with a local model, as an extra metric: a random BERT of three layers is built for it."""

import hashlib
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from medscale.base.errors import UserError
from medscale.base.files import write_jsonl
from medscale.evaluate import bertscore, metrics
from medscale.evaluate.eval_file import read_scores
from medscale.evaluate.metrics import Options, metric_names
from medscale.evaluate.scoring import score_texts
from places import SCRIPTS

BERT_PAIRS = [
    ("高血压患者应低盐饮食，按时服药。", "高血压病人要低盐饮食，并按时服用降压药。"),
    ("是", "否"),
    ("第一，多喝水。\n第二，多休息。", "第一，多喝水。第二，多休息。"),
    ("多喝水多喝水多喝水", "多喝水"),
    ("高血压", "高血压"),
    ("", "多喝水"),
    (" \n", "多喝水"),
    ("多喝水", ""),
    ("", ""),
    ("😀 the patient", "患者"),
    ("多喝水，注意休息。" * 30, "按时服药"),
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    """The folder of a random BERT of three layers that reads single characters, 64 at most."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    characters = sorted(
        {character for pair in BERT_PAIRS[:5] for text in pair for character in text if not character.isspace()}
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    shape |= {"vocab_size": len(vocabulary), "max_position_embeddings": 64}
    BertModel(BertConfig(**shape, initializer_range=0.5)).save_pretrained(folder)
    return str(folder)


def bertscores(pairs: list[tuple[str, str]], folder: str) -> list[float]:
    names = metric_names(["bertscore"], Options(folder))
    return [values["bertscore"] for values in score_texts(pairs, names, options=Options(folder))]


def plain_bertscore(predict: str, label: str, folder: str) -> float:
    """The definition written out, for one pair by itself."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    sides = []
    for text in (predict, label):
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            states = model(**tokens, output_hidden_states=True).hidden_states[2][0, 1:-1]
        sides.append([state / state.norm() for state in states])
    if not all(sides):
        return 0.0
    best = [
        [max(float(token @ other) for other in others) for token in tokens]
        for tokens, others in (sides, reversed(sides))
    ]
    precision, recall = (sum(values) / len(values) for values in best)
    return 200 * precision * recall / (precision + recall)


def test_bertscore_is_its_definition_whatever_else_is_in_the_batch(bert):
    expected = [plain_bertscore(predict, label, bert) for predict, label in BERT_PAIRS]
    assert bertscores(BERT_PAIRS, bert) == pytest.approx(expected, abs=2e-3)
    assert bertscores(BERT_PAIRS[::-1], bert) == pytest.approx(expected[::-1], abs=2e-3)
    assert bertscores(BERT_PAIRS, bert) == bertscores(BERT_PAIRS, bert)


def test_bertscore_equals_torchmetrics_pair_by_pair(bert):
    functional = pytest.importorskip("torchmetrics.functional.text.bert", reason="torchmetrics is not installed")
    for pair, found in zip(BERT_PAIRS[:4], bertscores(BERT_PAIRS[:4], bert), strict=True):
        settings = {"model_name_or_path": bert, "num_layers": 2, "max_length": 64, "truncation": True}
        expected = functional.bert_score([pair[0]], [pair[1]], **settings)["f1"]
        assert found == pytest.approx(100 * float(expected), abs=2e-3)


def test_bertscore_of_equal_texts_is_100_and_stands_beside_the_standard_metrics(bert):
    names = metric_names(["bertscore"], Options(bert))
    values = score_texts([("高血压患者", "高血压患者"), ("是", "否")], names, options=Options(bert))
    assert values[0]["bertscore"] == pytest.approx(100, abs=1e-3)
    assert list(values[0]) == [column for name in names for column in metrics.columns(name)]
    assert values[1]["rouge_1_f"] == 0


def test_bertscore_says_which_model_and_layer(bert):
    text = metrics.signature("bertscore", Options(bert))
    assert "layer 2 of 3" in text
    assert re.search(r"weights sha256 [0-9a-f]{16}", text)


def test_bertscore_without_a_model_says_what_to_set(tmp_path, bert):
    with pytest.raises(UserError, match=r"evaluation\.bertscore_model: is null"):
        metric_names(["bertscore"])
    with pytest.raises(UserError, match=r"evaluation\.bertscore_model: .*no config\.json"):
        bertscores([("是", "是")], str(tmp_path))
    (tmp_path / "config.json").write_text((Path(bert) / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match=r"evaluation\.bertscore_model: .*cannot be loaded"):
        bertscores([("是", "是")], str(tmp_path))


def test_score_takes_the_model_and_loads_torch_only_for_it(tmp_path, bert):
    row = {"id": "r0", "prompt": "", "predict": "多喝水", "label": "多喝水", "nll_sum": None}
    write_jsonl(tmp_path / "predictions.jsonl", [row | {"n_answer_tokens": None, "n_output_tokens": None}])
    code = (
        "import runpy, sys; sys.argv[0] = 'score.py'\n"
        f"runpy.run_path(r'{SCRIPTS / 'score.py'}', run_name='__main__')\n"
        "print('torch loaded:', 'torch' in sys.modules)\n"
    )
    files = ["--predictions", tmp_path / "predictions.jsonl", "--output", tmp_path / "scores.parquet"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONIOENCODING": "utf-8"}
    for more, loaded in (
        (["--bertscore-model", "null"], False),
        (["--extra-metrics", '["bertscore"]', "--bertscore-model", bert], True),
    ):
        command = [sys.executable, "-c", code, *files, *more]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        assert f"torch loaded: {loaded}" in done.stdout
    assert read_scores(tmp_path / "scores.parquet").columns["bertscore"] == pytest.approx([100], abs=1e-3)


@pytest.mark.parametrize(
    ("predict", "label", "value"),
    [
        ([[1, 0], [0, 1]], [[1, 0]], 200 * 0.5 / 1.5),
        ([[1, 0]], [[1, 0], [0, 1]], 200 * 0.5 / 1.5),
        ([[0.6, 0.8]], [[1, 0]], 60),
        ([[1, 0]], [[-1, 0]], 0),
        ([[1, 0]], [[0, 1]], 0),
        ([[1, 0], [-1, 0]], [[1, 0]], 0),
        ([[1, 0]], [[1, 0], [-1, 0]], 0),
        ([[1, 0], [-0.9, 0]], [[1, 0]], 200 * 0.05 / 1.05),
        ([[1.001, 0]], [[1, 0]], 100),
        ([], [[1, 0]], 0),
        ([[1, 0]], [], 0),
    ],
)
def test_the_harmonic_mean_of_the_best_cosines(predict, label, value):
    import torch

    vectors = [torch.tensor(rows, dtype=torch.float32).view(-1, 2) for rows in (predict, label)]
    assert bertscore._f(*vectors) == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(("layers", "taken"), [(12, 8), (24, 16), (3, 2), (4, 3), (1, 1)])
def test_the_layer_is_at_two_thirds_of_the_depth(layers, taken):
    assert bertscore._layer(SimpleNamespace(num_hidden_layers=layers)) == taken


def test_pairs_of_similar_length_pass_together_and_come_back_in_their_places(monkeypatch):
    import torch

    seen, threads = [], []

    def vectors(texts, tokenizer, model):
        seen.append((texts, tokenizer, model))
        return [torch.tensor([[float(text.count("b")), 1.0]]) for text in texts]

    monkeypatch.setattr(bertscore, "BATCH", 2)
    monkeypatch.setattr(bertscore, "_load", lambda folder: ("tokenizer", folder))
    monkeypatch.setattr(bertscore, "_token_vectors", vectors)
    monkeypatch.setattr(bertscore, "_f", lambda predict, label: float(predict[0, 0] - label[0, 0]))
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    pairs = [("bbb", "aaaaa"), ("b", ""), ("bb", "b"), ("a", "aaa"), ("", "bbbb")]
    assert bertscore.bertscore(pairs, "folder", 3) == [3, 1, 1, 0, -4]
    texts = [["b", "", "bb", "b"], ["a", "aaa", "", "bbbb"], ["bbb", "aaaaa"]]
    assert seen == [(some, "tokenizer", "folder") for some in texts]
    bertscore.bertscore([], "folder")
    assert threads == [3, 1]


def test_a_long_text_is_cut_at_what_the_model_can_read(bert, monkeypatch):
    tokenizer, model = bertscore._load(bert)
    texts = ["多喝水" * 100, "水", ""]
    sizes = [len(rows) for rows in bertscore._token_vectors(texts, tokenizer, model)]
    assert sizes == [62, 1, 0]
    monkeypatch.setattr(bertscore, "MAX_TOKENS", 12)
    rows = bertscore._token_vectors(texts, tokenizer, model)
    assert [len(some) for some in rows] == [10, 1, 0]
    assert rows[0].norm(dim=-1).tolist() == pytest.approx([1] * 10)
    monkeypatch.setattr(tokenizer, "model_max_length", 8)
    assert [len(some) for some in bertscore._token_vectors(texts, tokenizer, model)] == [6, 1, 0]


def test_the_signature_says_all_that_the_values_depend_on(bert):
    digest = hashlib.sha256()
    digest.update(hashlib.sha256((Path(bert) / "model.safetensors").read_bytes()).digest())
    assert bertscore.signature(bert) == (
        f"F of BERTScore (Zhang et al. 2020), greedy matching, no idf, no rescaling; model {Path(bert).name}, "
        f"weights sha256 {digest.hexdigest()[:16]}, layer 2 of 3, transformers {version('transformers')}"
    )


def test_the_digest_is_of_all_files_of_weights_in_order(tmp_path):
    for name in ("b.safetensors", "a.bin", "config.json"):
        (tmp_path / name).write_text(name)
    parts = [hashlib.sha256(name.encode()).digest() for name in ("a.bin", "b.safetensors")]
    assert bertscore._weights_digest(str(tmp_path)) == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(UserError) as caught:
        bertscore.signature(str(tmp_path))
    assert caught.value.text == (
        f"evaluation.bertscore_model: {tmp_path}: no model lies there (no config.json); give the directory of a BERT "
        "and its tokenizer, such as a download of google-bert/bert-base-chinese"
    )
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        bertscore.signature(str(tmp_path))
    message = caught.value.text
    assert message.startswith(f"evaluation.bertscore_model: {tmp_path}: cannot be loaded (")
    assert message.endswith("); download the model's directory once more")


def test_the_encoder_takes_no_memory_of_a_card(bert, monkeypatch):
    """Scoring runs beside a training, without a lease of its card."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    bertscore._load.cache_clear()
    assert bertscore.bertscore([("高血压", "高血压")], bert) == pytest.approx([100.0], abs=1e-3)
    assert bertscore._load(bert)[1].device.type == "cpu"
