"""What rates lose to the best: the interval, its coverage, and what is called far."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.compare.caveats import _rates
from medscale.compare.learning_rates import margin_of, paired_difference, sensitivity


def pilot(losses, fixed=None, rows=50, noise=0.0, method="lora", at_edge=None, seed=0):
    """Return a pilot of one size; ``losses`` are nats a token by rate, None where the training diverged."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(20, 120, rows)
    rates = []
    for rate, loss in losses.items():
        nats = None if loss is None else (loss * tokens + noise * np.sqrt(tokens) * draw.standard_normal(rows)).tolist()
        entry = {"rate": rate, "rows": nats, "diverged": None if nats else "diverged", "extended": False}
        nll = sum(nats) / tokens.sum() if nats else None
        rates.append(entry | {"nll": nll, "curve": [], "losses": [], "seconds": 2.0})
    chosen = min((r for r in rates if r["nll"] is not None), key=lambda r: r["nll"])["rate"]
    size = {"size": 100, "steps": 5, "steps_of_a_run": 50, "chosen": chosen, "at_edge": at_edge, "fixed": fixed}
    return {"method": method, "sizes": {"100": size | {"answer_tokens": tokens.tolist(), "rates": rates}}}


def judged(*arguments, margin=0.02, **keys):
    return sensitivity([pilot(*arguments, **keys)], margin, 0.05)[0]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.integers(1, 99)), min_size=6, max_size=40))
def test_the_difference_is_that_of_the_two_losses(rows):
    a, b, tokens = zip(*rows, strict=True)
    value, low, high = paired_difference(a, b, tokens, 0.05)
    assert value == pytest.approx(sum(a) / sum(tokens) - sum(b) / sum(tokens), abs=1e-9)
    assert low <= value <= high
    other = paired_difference(b, a, tokens, 0.05)
    assert other == pytest.approx((-value, -high, -low))


def test_few_rows_give_no_interval():
    assert paired_difference([1.0] * 5, [0.5] * 5, [1] * 5, 0.05) == (0.5, None, None)


def test_the_best_has_no_loss_and_the_others_theirs():
    found = judged({0.001: 2.0, 0.003: 1.95, 0.01: 2.5}, noise=0.1)
    assert [rate["difference"] for rate in found["rates"]] == pytest.approx([0.05, 0.0, 0.55], abs=0.02)
    assert found["rates"][1]["lo"] is None
    assert found["chosen"] == 0.003
    assert found["within"] == [0.003]
    assert found["verdict"] is None


@pytest.mark.parametrize(
    ("losses", "noise", "verdict"),
    [
        ({0.001: 2.0, 0.003: 1.95}, 0.1, "far"),
        ({0.001: 2.0, 0.003: 1.99}, 0.0, "near"),
        ({0.001: 2.1, 0.003: 2.0}, 20.0, "unsure"),
        ({0.001: None, 0.003: 2.0}, 0.0, "far"),
        ({0.001: 1.0, 0.003: 2.0}, 0.0, "near"),
    ],
)
def test_a_fixed_rate_is_far_where_it_loses_more_than_the_margin_and_that_is_shown(losses, noise, verdict):
    seeds = (seed for seed in range(99) if judged(losses, fixed=0.001, noise=noise, seed=seed)["chosen"] == 0.003)
    seed = next(seeds, 0) if losses[0.001] != 1.0 else 0
    if verdict == "unsure":
        seed = next(
            s
            for s in range(99)
            if (rate := judged(losses, fixed=0.001, noise=noise, seed=s)["rates"][0])["difference"] > 0.02
            and rate["lo"] < 0
        )
    assert judged(losses, fixed=0.001, noise=noise, seed=seed)["verdict"] == verdict


def test_luck_alone_calls_a_rate_far_in_few_studies():
    """All rates are equally good; the fixed one is compared with the luckiest of eight. The margin is left out."""
    equal = dict.fromkeys((0.0001 * 2**n for n in range(8)), 2.0)
    far = [judged(equal, fixed=0.0001, noise=1.0, margin=0.0, seed=seed)["verdict"] == "far" for seed in range(400)]
    assert sum(far) / len(far) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_the_margin_is_the_recommendations_where_it_is_in_nats():
    assert margin_of({"metric": "nll", "margin": 0.1}) == 0.1
    assert margin_of({"metric": "rouge_l", "margin": 0.5}) == 0.02


def test_the_caveats_name_what_is_far_and_what_lies_at_an_end():
    far = judged({0.001: 2.0, 0.003: 1.95}, fixed=0.001, at_edge="upper")
    gone = judged({0.001: None, 0.003: 2.0}, fixed=0.001, method="qlora")
    ((kind, english, chinese),) = list(_rates([far, gone]))
    assert kind == "rate_far"
    assert "(lora_100: 0.001 loses 0.050 nats to 0.003, qlora_100: at 0.001 it diverged)" in english
    assert "comparison may be of rates rather than of methods" in english
    assert "lora_100：0.001 比 0.003 多损失 0.050 奈特" in chinese
    ((kind, english, _),) = list(_rates([judged({0.001: 2.0, 0.003: 1.95}, at_edge="upper")]))
    assert (kind, "(lora_100: 0.003)" in english) == ("rate_at_edge", True)
    assert list(_rates([judged({0.001: 2.0, 0.003: 1.99}, fixed=0.001)])) == []
