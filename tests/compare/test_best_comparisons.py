"""Distances to the best, which is chosen by noise too: they hold for all candidates at once."""

import numpy as np
import pytest

from made_up_scores import bleu_study, rouge_like
from medscale.compare.best_comparisons import compare_with_best
from medscale.compare.resampling import Configuration


def test_the_distance_to_the_true_best_is_covered_for_all_candidates_at_once():
    """Five configurations, of which two are best in truth and one is worse by exactly the margin."""
    generator = np.random.default_rng(17)
    shift = np.array([0.0, 0.0, -0.5, -1.0, -2.0])
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(5)]
    held, passed = 0, 0
    for number in range(200):
        shared = generator.gamma(4.0, 1.0, 200)
        runs = {f"c{i}": rouge_like(generator, 200, shared) + gain for i, gain in enumerate(shift)}
        found = compare_with_best(bleu_study(runs, configurations, 399, number), "bleu_4", range(5))
        held += ((found.lo <= shift + 1e-9) & (shift - 1e-9 <= found.hi)).all()
        passed += found.lo[3] > -1.0 and found.best != 3
        assert found.hi[found.best] == 0
        assert (found.lo <= found.difference + 1e-9).all()
    assert held / 200 >= 0.91
    assert passed / 200 <= 0.07


def test_choosing_the_best_by_noise_is_paid_for():
    """Many equal candidates: a plain interval of the difference to the best excludes 0 too often, this one does not."""
    generator = np.random.default_rng(23)
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(8)]
    wrong, plain = 0, 0
    for number in range(100):
        runs = {f"c{i}": rouge_like(generator, 100) for i in range(8)}
        found = compare_with_best(bleu_study(runs, configurations, 399, number), "bleu_4", range(8))
        wrong += (found.hi < 0).any()
        best = runs[f"c{found.best}"]
        errors = [np.std(best - values, ddof=1) / 10 for values in runs.values()]
        plain += any(-gap > 1.96 * se for gap, se in zip(found.difference, errors, strict=True))
    assert wrong <= 10
    assert plain > 25, "the simulation must be one in which the choice matters"


def test_more_candidates_make_wider_intervals():
    generator = np.random.default_rng(29)
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(8)]
    runs = {f"c{i}": rouge_like(generator, 200) + (i == 0) * 5 for i in range(8)}
    study = bleu_study(runs, configurations, 2000)
    se = np.std(runs["c0"] - runs["c1"], ddof=1) / np.sqrt(200)
    for count, critical in ((2, 1.96), (8, 2.57)):  # Dunnett's two-sided values for 1 and 7 comparisons
        found = compare_with_best(study, "bleu_4", range(count))
        assert (found.difference[1] - found.lo[1]) / se == pytest.approx(critical, abs=0.12)
