"""TPE finds better points than random search does, on a function with the features of ALS."""

import math
import statistics

from recsearch.space import Float, Int, Space
from recsearch.suggest import Observation
from recsearch.suggest.tpe import TpeSuggester
from recsearch.suggest.uniform import UniformSuggester

SPACE = Space(
    {
        "embedding_size": Int(4, 512, "log"),
        "regularization.user": Float(1e-5, 1, "log"),
        "regularization.item": Float(1e-5, 1, "log"),
        "damping.user": Float(1e-12, 100, "log"),
        "damping.item": Float(1e-12, 100, "log"),
    }
)
FLOOR = 0.82


def error(params):
    """RMSE-like: best at the largest size; two valleys of regularisation; damping nearly inert."""
    unit = {
        name: math.log(value / SPACE[name].low) / math.log(SPACE[name].high / SPACE[name].low)
        for name, value in params.items()
    }
    size, user, item = (
        unit[name] for name in ("embedding_size", "regularization.user", "regularization.item")
    )
    overfit = 0.05 * size * max(0.0, 0.5 - item)
    valleys = 0.06 * (user - 0.7) ** 2 + 0.10 * (item - 0.65) ** 2
    inert = 0.001 * ((unit["damping.user"] - 0.3) ** 2 + (unit["damping.item"] - 0.5) ** 2)
    return FLOOR + 0.05 * (1 - size) ** 1.5 + overfit + valleys + inert


def regret(suggester, trials=100, lag=8):
    done = []
    for number in range(1, trials + 1):
        seen = max(0, number - lag)
        point = suggester.suggest(number, done[:seen], [d.params for d in done[seen:]]).params
        done.append(Observation(number, point, error(point)))
    return min(seen.value for seen in done) - FLOOR


def test_tpe_beats_random_on_the_median_of_ten_seeds():
    seeds = range(10)
    tpe = [regret(TpeSuggester(SPACE, seed, "min")) for seed in seeds]
    drawn = [regret(UniformSuggester(SPACE, seed)) for seed in seeds]
    assert statistics.median(tpe) < 0.5 * statistics.median(drawn)
    assert sum(a < b for a, b in zip(tpe, drawn, strict=True)) >= 8
