"""The split: exact sizes, whole families, proportions, nested subsets, and no near-duplicate across the parts."""

import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import split
import subset
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl
from medscale.data.near.components import Components
from medscale.data.splitting import (
    POOL,
    TEST,
    VALIDATION,
    Families,
    assign_parts,
    exact_subset,
    quotas,
    row_ranks,
    stratified_order,
)
from medscale.fetch.manifest import write_manifest
from places import SCRIPTS

REPRODUCIBLE = settings(derandomize=True)
CHARACTERS = "高血压糖尿病头疼胃炎肝吃药怎么办治疗检查症状饮食注意孩子老人多久能好医院医生请问"


class TestParts:
    @REPRODUCIBLE
    @given(st.lists(st.integers(1, 6), max_size=12), st.integers(0, 30))
    def test_exact_subset_is_found_if_there_is_one(self, sizes, target):
        chosen = exact_subset(sizes, target)
        possible = any(
            sum(some) == target for count in range(len(sizes) + 1) for some in itertools.combinations(sizes, count)
        )
        assert (chosen is not None) == possible
        if chosen is not None:
            assert len(set(chosen)) == len(chosen)
            assert sum(sizes[index] for index in chosen) == target

    @pytest.mark.parametrize(
        ("sizes", "target", "chosen"),
        [
            ([3, 1, 2, 1], 2, [1, 3]),
            ([2, 2, 2], 4, [0, 1]),
            ([5, 3, 2], 5, [1, 2]),
            ([4, 1, 4, 1, 1], 6, [0, 1, 3]),
            ([2, 1], 3, [0, 1]),
            ([5], 5, [0]),
            ([5, 6], 0, []),
            ([2, 2], 3, None),
            ([], 1, None),
        ],
    )
    def test_an_exact_subset_has_small_and_early_ones_first(self, sizes, target, chosen):
        assert exact_subset(sizes, target) == chosen

    @pytest.mark.parametrize(
        ("shares", "size", "expected"),
        [
            ({"a": 5, "b": 3, "c": 2}, 4, {"a": 2, "b": 1, "c": 1}),  # 2, 1.2, 0.8
            ({"a": 60, "b": 25, "c": 15}, 7, {"a": 4, "b": 2, "c": 1}),  # 4.2, 1.75, 1.05
            ({"a": 7, "b": 5}, 5, {"a": 3, "b": 2}),  # 2.92, 2.08
            ({"c": 1, "b": 1, "a": 1}, 2, {"a": 1, "b": 1, "c": 0}),  # equal remainders: by name
            ({"a": 3, "b": 1}, 0, {"a": 0, "b": 0}),
        ],
    )
    def test_quotas_are_those_of_largest_remainders(self, shares, size, expected):
        assert dict(quotas(Counter(shares), size)) == expected

    @REPRODUCIBLE
    @given(st.dictionaries(st.text("甲乙丙丁", min_size=1), st.integers(1, 500), min_size=1), st.integers(0, 300))
    def test_quotas_are_proportional_to_within_one(self, shares, size):
        shares = Counter(shares)
        result = quotas(shares, size)
        assert result.total() == size
        assert all(abs(result[name] - size * count / shares.total()) < 1 for name, count in shares.items())

    @settings(REPRODUCIBLE, max_examples=200)
    @given(
        families=st.lists(st.integers(1, 8), min_size=20, max_size=80),
        test_size=st.integers(0, 20),
        validation_size=st.integers(0, 10),
        seed=st.integers(0, 5),
    )
    def test_families_stay_whole_and_sizes_are_exact(self, families, test_size, validation_size, seed):
        families += [1] * 30
        labels = np.repeat(np.concatenate([[0], np.cumsum(families)[:-1]]), families)
        rng = random.Random(seed)
        departments = rng.choices(["内科", "外科", "儿科"], [6, 3, 1], k=len(labels))
        ranks = row_ranks([str(row) for row in range(len(labels))], seed)
        parts = assign_parts(labels, departments, ranks, test_size, validation_size)
        assert Counter(parts.tolist())[TEST] == test_size
        assert Counter(parts.tolist())[VALIDATION] == validation_size
        assert all(len(set(parts[labels == label])) == 1 for label in set(labels.tolist()))

    def test_departments_of_the_test_set_are_in_proportion(self):
        departments = ["内科"] * 600 + ["外科"] * 300 + ["儿科"] * 100
        parts = assign_parts(np.arange(1000), departments, row_ranks([str(n) for n in range(1000)], 1), 100, 50)
        for part, scale in ((TEST, 10), (VALIDATION, 20)):
            counted = Counter(departments[row] for row in np.flatnonzero(parts == part))
            assert counted == {"内科": 600 // scale, "外科": 300 // scale, "儿科": 100 // scale}

    def test_a_family_too_large_for_the_test_set_goes_to_the_pool(self):
        labels = np.array([0] * 500 + list(range(500, 700)))
        parts = assign_parts(labels, ["x"] * 700, row_ranks([str(n) for n in range(700)], 1), 100, 50)
        assert set(parts[:500].tolist()) == {POOL}

    def test_large_families_come_into_the_test_set_last(self):
        labels = np.array([0] * 40 + list(range(40, 240)))
        for seed in range(10):
            parts = assign_parts(labels, ["x"] * 240, row_ranks([str(n) for n in range(240)], seed), 60, 20)
            assert parts[0] == POOL

    def parts(self, sizes: list[int], departments: str, test_size: int, validation_size: int) -> str:
        """Return what becomes of families that are met in this order, each of one department: T, V or p."""
        labels = np.repeat(np.arange(len(sizes)), sizes)
        named = [departments[label] for label in labels]
        parts = assign_parts(labels, named, np.arange(len(labels)), test_size, validation_size)
        assert parts.dtype == np.int8
        letters = {POOL: "p", TEST: "T", VALIDATION: "V"}
        return "".join(letters[parts[labels == label][0]] for label in range(len(sizes)))

    @pytest.mark.parametrize(
        ("sizes", "departments", "test_size", "validation_size", "expected"),
        [
            # In the order of their ranks, as long as they fit into what their department may give.
            ([1] * 8, "xxxxxxxx", 3, 2, "TTTVVppp"),
            ([1] * 8, "xxxxxyyy", 2, 2, "TVpppTVp"),
            ([1, 2, 1, 2, 1, 1], "x" * 6, 2, 1, "TpTpVp"),
            ([1, 2, 1, 1], "xyxy", 2, 0, "TppT"),
            # A family of five counts as small, one of six comes after all smaller ones.
            ([5, *[1] * 10], "x" * 11, 7, 1, "TTTV" + 7 * "p"),
            ([6, *[1] * 10], "x" * 11, 7, 1, "pTTTTTTTVpp"),
            # So does one of more than 1 % of the part.
            ([7, *[1] * 800], "x" * 801, 700, 0, "T" * 694 + "p" * 107),
            ([8, *[1] * 800], "x" * 801, 700, 0, "p" + "T" * 700 + "p" * 100),
            # Large families too are taken by department, and one may fill a quota to the last row.
            ([6] * 10, "xxxxxyyyyy", 12, 0, "TppppTpppp"),
            ([2, 2, 1, 1, 1, 1], "xxyyyy", 3, 0, "TpTppp"),
            ([3, 3, 2, 2], "xxyy", 5, 0, "TpTp"),
            # What whole families leave open is filled regardless of departments: here x may give 2, y and z 1 each.
            ([3, 3, 3, 1], "xyzx", 4, 0, "TppT"),
            # Where what was taken cannot be filled up, other families are taken.
            ([3, 2, 2], "xxx", 4, 0, "pTT"),
            ([3, 2, 2, 2], "xxxx", 4, 2, "pTTV"),
            ([2, 1], "xy", 0, 0, "pp"),
        ],
    )
    def test_which_families_come_into_which_part(self, sizes, departments, test_size, validation_size, expected):
        assert self.parts(sizes, departments, test_size, validation_size) == expected

    @pytest.mark.parametrize(("sizes", "name", "size"), [([2, 2, 2], "test_size", 3), ([2, 2], "validation_size", 1)])
    def test_the_size_that_cannot_be_met_is_named(self, sizes, name, size):
        wanted = {"test_size": 2, "validation_size": 2} | {name: size}
        with pytest.raises(UserError, match=rf"study\.{name}: .* exactly {size} rows"):
            self.parts(sizes, "x" * len(sizes), **wanted)

    def test_sizes_that_no_whole_families_make_are_an_error(self):
        labels = np.repeat(np.arange(0, 40, 2), 2)
        with pytest.raises(UserError, match=r"study\.test_size: no set of whole families .* exactly 5 rows"):
            assign_parts(labels, ["x"] * 40, row_ranks([str(n) for n in range(40)], 1), 5, 2)

    @REPRODUCIBLE
    @given(st.lists(st.sampled_from("甲乙丙"), min_size=1, max_size=120), st.integers(0, 3))
    def test_every_prefix_has_the_departments_in_proportion(self, departments, seed):
        ranks = row_ranks([str(n) for n in range(len(departments))], seed)
        order = stratified_order(np.arange(len(departments)), departments, ranks)
        assert sorted(order.tolist()) == list(range(len(departments)))
        shares, counted = Counter(departments), Counter()
        for length, row in enumerate(order, 1):
            counted[departments[row]] += 1
            for name, count in shares.items():
                assert abs(counted[name] - length * count / len(departments)) <= len(shares) / 2 + 1

    def test_prefixes_of_unequal_departments(self):
        departments = ["内科"] * 900 + ["外科"] * 90 + ["儿科"] * 10
        order = stratified_order(np.arange(1000), departments, row_ranks([str(n) for n in range(1000)], 1))
        for length in (100, 300, 500):
            counted = Counter(departments[row] for row in order[:length])
            assert counted == {"内科": length * 0.9, "外科": length * 0.09, "儿科": length * 0.01}

    def test_ranks_depend_on_seed_and_id_alone(self):
        ranks = row_ranks(["r0000001", "r0000002"], 42)
        assert ranks.tolist() == [2454793468624329621, 1827030689863453994]
        assert row_ranks(["r0000002"], 42)[0] == ranks[1]
        assert row_ranks(["r0000002"], 43)[0] != ranks[1]

    @pytest.mark.parametrize(
        ("departments", "order"),
        [
            ("aaaabb", "abaaba"),  # a at 1/8, 3/8, 5/8, 7/8; b at 1/4, 3/4
            ("aaab", "aaba"),  # a and b at 1/2: by name
            ("baba" + "b", "babab"),  # b at 1/6, 1/2, 5/6; a at 1/4, 3/4
            ("abbb", "babb"),  # a and the second b at 1/2: by name
            ("cba", "abc"),
            ("", ""),
        ],
    )
    def test_the_order_of_departments(self, departments, order):
        rows = np.arange(len(departments))
        taken = stratified_order(rows, departments, np.zeros(len(rows), np.uint64))
        assert "".join(departments[row] for row in taken) == order

    def test_within_a_department_rows_go_by_rank_and_equal_ranks_by_place(self):
        ranks = np.array([9, 3, 8, 5, 1, 7], np.uint64)
        assert stratified_order(np.array([5, 3, 0, 1]), "xxxxxx", ranks).tolist() == [1, 3, 5, 0]
        same = np.arange(500) % 2
        assert stratified_order(np.arange(500), ["x"] * 500, same).tolist() == [*range(0, 500, 2), *range(1, 500, 2)]


class TestFamilies:
    def test_are_ordered_by_the_rank_of_their_first_row(self):
        families = Families(np.array([1, 2, 1, 4, 2, 1]), "abacab", np.array([50, 10, 5, 30, 99, 70]))
        assert len(families) == 3
        assert families.sizes.tolist() == [2, 1, 3]
        assert [families.rows(number).tolist() for number in range(3)] == [[1, 4], [3], [0, 2, 5]]
        assert [families.departments(number) for number in range(3)] == [{"b": 1, "a": 1}, {"c": 1}, {"a": 2, "b": 1}]

    def test_of_equal_rank_go_by_label_and_their_rows_by_place(self):
        labels = np.arange(600) * 7 % 200
        families = Families(labels, ["x"] * 600, labels % 2)
        assert [families.rows(number).tolist() for number in range(200)] == [
            np.flatnonzero(labels == label).tolist() for label in (*range(0, 200, 2), *range(1, 200, 2))
        ]

    def test_there_may_be_none(self):
        families = Families(np.empty(0, np.int64), [], np.empty(0, np.uint64))
        assert len(families) == 0
        assert families.sizes.tolist() == []


def questions(rng: random.Random, families: int) -> list[str]:
    """Questions, a third of them with one to four near-duplicates."""
    texts = []
    for _ in range(families):
        text = rng.choices(CHARACTERS, k=rng.randrange(20, 50))
        for _ in range(rng.choice([1, 1, 1, 1, 2, 5])):
            texts.append("".join(text))
            text[rng.randrange(len(text))] = rng.choice(CHARACTERS)
    rng.shuffle(texts)
    return texts


def grams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


class Split:
    """What split.py made of some questions."""

    def __init__(
        self, folder: Path, texts: list[str], test=40, validation=20, sizes=(50, 100), seed=42, answer=None
    ) -> None:
        folder.mkdir(exist_ok=True)
        departments = [["内科", "外科", None][int(hashlib.md5(text.encode()).hexdigest(), 16) % 3] for text in texts]
        self.clean = folder / "clean.parquet"
        columns = {"id": [f"r{number:07d}" for number in range(len(texts))], "question": texts}
        columns |= {"answer": [answer or f"答{text[:9]}" for text in texts], "department": departments}
        pq.write_table(pa.table(columns), self.clean)
        self.paths = {name: folder / f"{name}.jsonl" for name in ("test", "validation", "pool")}
        arguments = ["--clean", self.clean, "--test-size", test, "--validation-size", validation, "--seed", seed]
        arguments += ["--sizes", json.dumps(list(sizes)), "--report", folder / "split_report.json"]
        for name, path in self.paths.items():
            arguments += [f"--{name}", path]
        run(split, *arguments)
        self.rows = {name: list(read_jsonl(path)) for name, path in self.paths.items()}
        self.report = read_json(folder / "split_report.json")

    def crossing(self, threshold: float = 0.6) -> int:
        """Count the near-duplicate pairs across two parts by comparing each with each."""
        sets = {name: [grams(row["question"]) for row in rows] for name, rows in self.rows.items()}
        return sum(
            len(one & other) >= threshold * len(one | other)
            for first, second in itertools.combinations(sets, 2)
            for one in sets[first]
            for other in sets[second]
        )


def run(module, *arguments) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["script", *map(str, arguments)])
        module.main()


class TestSplit:
    @pytest.mark.parametrize("seed", range(4))
    def test_no_near_duplicate_crosses_and_nothing_is_lost(self, tmp_path, seed):
        texts = questions(random.Random(seed), 300)
        result = Split(tmp_path, texts, seed=seed)
        assert result.crossing() == 0
        assert result.report["proof"]["crossing_pairs"] == 0
        assert [len(result.rows[name]) for name in ("test", "validation")] == [40, 20]
        ids = [row["id"] for rows in result.rows.values() for row in rows]
        assert sorted(ids) == [f"r{number:07d}" for number in range(len(texts))]
        assert result.report["sizes"] == {name: len(rows) for name, rows in result.rows.items()}
        assert result.report["families"]["largest"] > 1

    def test_the_proof_mends_what_minhash_overlooked(self, tmp_path, monkeypatch):
        monkeypatch.setattr(split.FamilySearch, "families", lambda self, texts: Components(len(texts)))
        result = Split(tmp_path, questions(random.Random(9), 300))
        assert result.report["proof"]["rounds"] > 1
        assert result.crossing() == 0

    def test_the_same_seed_gives_the_same_bytes_and_another_another_split(self, tmp_path):
        texts = questions(random.Random(5), 200)
        first, second, other = (
            [path.read_bytes() for path in Split(tmp_path / name, texts, seed=seed).paths.values()]
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert first == second
        assert first != other

    def test_rows_are_whole(self, tmp_path):
        row = Split(tmp_path, questions(random.Random(5), 200)).rows["test"][0]
        assert list(row) == ["id", "question", "answer", "department"]
        assert row["answer"].startswith("答")

    def test_a_size_above_the_pool_is_an_error_that_says_how_many_rows_it_has(self, tmp_path):
        texts = questions(random.Random(5), 200)
        pool = len(texts) - 60
        with pytest.raises(UserError, match=rf"study\.sizes: {pool + 1} is more than the {pool} rows of the pool"):
            Split(tmp_path, texts, sizes=(50, pool + 1))
        assert len(Split(tmp_path, texts, sizes=(50, pool)).rows["pool"]) == pool

    def test_test_and_validation_that_leave_nothing_are_an_error(self, tmp_path):
        texts = questions(random.Random(5), 30)
        with pytest.raises(UserError, match=r"study\.test_size \(40\) and study\.validation_size \(20\) need 60 rows"):
            Split(tmp_path, texts[:60])

    def test_one_giant_family_is_warned_of(self, tmp_path, capsys):
        texts = questions(random.Random(5), 200)
        clones = ["我爸爸今年六十岁最近总是头晕去医院量了血压说是高血压怎么办" + character for character in CHARACTERS]
        result = Split(tmp_path, texts + clones)
        assert f"has {len(clones)} of" in result.report["warnings"][0]
        assert "warning: one family" in capsys.readouterr().err
        assert {row["question"] for row in result.rows["pool"]} >= set(clones)

    def test_answers_that_the_pool_has_too_are_counted(self, tmp_path):
        texts = ["".join(random.Random(n).choices(CHARACTERS, k=30)) for n in range(200)]
        assert Split(tmp_path, texts).report["answers_also_in_pool"] == {"test": 0, "validation": 0}
        same = Split(tmp_path, texts, answer="多喝水，多休息").report
        assert same["answers_also_in_pool"] == {"test": 40, "validation": 20}


class TestSubset:
    def take(self, folder: Path, pool: Path, size: int) -> tuple[bytes, dict]:
        output, manifest = folder / f"train_{size}.jsonl", folder / f"train_{size}.manifest.json"
        run(subset, "--pool", pool, "--size", size, "--output", output, "--manifest", manifest)
        return output.read_bytes(), read_json(manifest)

    def test_subsets_are_nested_prefixes_with_a_manifest(self, tmp_path):
        result = Split(tmp_path, questions(random.Random(2), 200))
        content = result.paths["pool"].read_bytes()
        for size in (1, 50, 100):
            taken, manifest = self.take(tmp_path, result.paths["pool"], size)
            assert content.startswith(taken)
            assert taken.count(b"\n") == size
            assert manifest["size"] == size == sum(manifest["departments"].values())
            assert manifest["sha256"] == hashlib.sha256(taken).hexdigest()
            assert manifest["pool_sha256"] == hashlib.sha256(content).hexdigest()

    def test_rows_of_no_department_are_counted_as_unknown(self, tmp_path):
        result = Split(tmp_path, questions(random.Random(2), 200))
        unknown = [row for row in result.rows["pool"] if row["department"] is None]
        assert unknown
        assert result.report["departments"]["pool"]["unknown"] == len(unknown)
        _, manifest = self.take(tmp_path, result.paths["pool"], len(result.rows["pool"]))
        assert manifest["departments"]["unknown"] == len(unknown)

    def test_a_subset_is_stratified(self, tmp_path):
        result = Split(tmp_path, questions(random.Random(2), 400))
        whole = result.report["departments"]["pool"]
        _, manifest = self.take(tmp_path, result.paths["pool"], 100)
        for name, count in manifest["departments"].items():
            assert abs(count - 100 * whole[name] / sum(whole.values())) <= 2

    def test_a_size_above_the_pool_is_an_error_and_writes_nothing(self, tmp_path):
        (tmp_path / "pool.jsonl").write_text('{"id": "r1", "department": null}\n', encoding="utf-8")
        with pytest.raises(UserError, match=r"study\.sizes: 2 is more than the 1 rows"):
            self.take(tmp_path, tmp_path / "pool.jsonl", 2)
        assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


@pytest.mark.skipif("MEDSCALE_REAL_CSV" not in os.environ, reason="MEDSCALE_REAL_CSV does not name the real CSV")
def test_the_real_csv_goes_through_the_command_lines(tmp_path):
    source = Path(os.environ["MEDSCALE_REAL_CSV"])
    manifest = write_manifest(tmp_path / "raw", kind="data", source="file", root=source.parent, files=[source.name])

    def script(name: str, *arguments) -> None:
        command = [sys.executable, SCRIPTS / name, *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def path(name: str) -> Path:
        return tmp_path / name

    columns = {"question": ["title", "ask"], "answer": "answer", "department": "department"}
    script(
        *[
            "clean.py",
            "--manifest",
            manifest,
            "--columns",
            json.dumps(columns),
            "--output-clean",
            path("clean.parquet"),
        ],
        *["--output-rejected", path("rejected.parquet"), "--output-report", path("clean_report.json")],
    )
    report = read_json(path("clean_report.json"))
    assert report["read"] == report["kept"] + sum(report["dropped"].values()) == 3854
    assert report["files"][0]["encoding"] == "gb18030"
    assert report["dropped"]["exact_duplicate"] > 100
    assert {"肝病科", "心血管科"} <= set(report["departments"])
    assert report["masked"] == {}, "the sample has no personal data, only numbers that were measured"
    kept = pq.read_table(path("clean.parquet")).to_pylist()
    assert len(kept) == report["kept"]
    text = "".join(row["question"] + row["answer"] for row in kept)
    common = sum(text.count(character) for character in "的是有不了患者病医")
    assert common > 0.1 * len(text), "the commonest characters are rare: the text was decoded wrongly"

    script(
        *["split.py", "--clean", path("clean.parquet"), "--test-size", 300, "--validation-size", 100, "--seed", 42],
        *["--sizes", "[200, 1000]", "--test", path("test.jsonl"), "--validation", path("validation.jsonl")],
        *["--pool", path("pool.jsonl"), "--report", path("split_report.json")],
    )
    assert read_json(path("split_report.json"))["proof"]["crossing_pairs"] == 0
    for size in (200, 1000):
        script(
            *["subset.py", "--pool", path("pool.jsonl"), "--size", size, "--output", path(f"train_{size}.jsonl")],
            *["--manifest", path(f"train_{size}.manifest.json")],
        )
    assert path("train_1000.jsonl").read_bytes().startswith(path("train_200.jsonl").read_bytes())
    test, train = (
        [grams(row["question"]) for row in read_jsonl(path(f"{name}.jsonl"))] for name in ("test", "train_1000")
    )
    assert not any(len(one & other) >= 0.6 * len(one | other) for one in test for other in train)
