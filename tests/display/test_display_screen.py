"""What the live table says, at any size of the terminal."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from display_tools import Hands, Story
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from recsearch.display import About, LiveDisplay
from recsearch.display.clock import Clock
from recsearch.display.screen import flowing, joined, screen
from recsearch.display.snapshot import Times, take
from recsearch.display.spark import ASCII_BLOCKS, BLOCKS, resample, spark
from recsearch.display.tally import Tally
from recsearch.display.words import ASCII, UNICODE, Glyphs, cut, setting
from recsearch.printable import clean

ABOUT = About("als-ml1m", 30, lambda: None)
TIMES = Times(elapsed=75, left=42, pace=103.2, store=61_200_000)


def story() -> Story:
    """Ten trials: the third is the best, two run, one erred, one came from the store."""
    told = Story()
    told.record.baselines["bias"] = {"config": {}, "metrics": {"RMSE": 0.95}}
    told.trial(1, [0.99, 0.9, 0.93], size=50, rate=0.1, batch=128)
    told.trial(2, [1.2], "pruned", "asha", size=10, rate=0.25, batch=128)
    told.trial(3, [0.9, 0.85, 0.86], size=400, rate=0.0123456, batch=128)
    told.trial(4, [], "error", "ValueError", size=7, rate=1e-12, batch=128)
    told.trial(5, [0.99, 0.98], cached=True, size=8, rate=0.3, batch=128)
    for number in (6, 7, 8):
        told.trial(number, [1.0], "pruned", "asha", size=number, rate=0.2, batch=128)
    told.start(9, size=9, rate=0.2, batch=128)
    for value in (0.9, 0.88, 0.87, 0.86, 0.85, 0.84, 0.83, 0.82):
        told.epoch(9, value + 0.05)
    told.start(10, size=11, rate=0.2, batch=128)
    return told


def lines(told: Story, width: int = 80, height: int = 23, glyphs: Glyphs = UNICODE) -> list[str]:
    tally = Tally()
    tally.update(told.record.trials.values())
    drawn = screen(take(told.record, tally, ABOUT), tally, TIMES, 100, width, height, glyphs)
    return [line.plain for line in drawn]


def test_all_of_it_on_eighty_columns() -> None:
    """Every number of it is in `story`; `batch` is the same in all trials."""
    assert lines(story()) == [
        "als-ml1m · RMSE (lower is better)",
        "best 0.85000 in trial 3, epoch 2 · +0.10000 over tuned bias",
        "     size 400, rate 0.01235",
        "",
        "trial  state                   epoch     RMSE         best  curve",
        "    9  training                 8/30  0.87000  0.87000 @ 8  █▆▅▅▄▃▂▁",
        "   10  training                 0/30",
        "    8  pruned (asha)               1  1.00000  1.00000 @ 1  ▄",
        "    7  pruned (asha)               1  1.00000  1.00000 @ 1  ▄",
        "    6  pruned (asha)               1  1.00000  1.00000 @ 1  ▄",
        "    5  done (plateau), cached      2  0.98000  0.98000 @ 2  █▁",
        "    4  error (ValueError)",
        "    3  done (plateau)              3  0.86000  0.85000 @ 2  █▁▂",
        "",
        "8/100 trials: 3 done, 4 pruned, 1 cached, 1 error, 0 interrupted",
        "42 s left · 1 min 15 s so far · 103 epochs/min · 9.0 kB written · store 61.2 MB",
    ]


def test_on_forty_columns_what_matters_less_is_gone() -> None:
    assert lines(story(), 40, 11, ASCII) == [
        "als-ml1m | RMSE (lower is better)",
        "best 0.85000 in trial 3, epoch 2",
        "     size 400, rate 0.01235",
        "trial state    epoch    RMSE        best",
        "    9 training  8/30 0.87000 0.87000 @ 8",
        "   10 training  0/30",
        "    8 pruned       1 1.00000 1.00000 @ 1",
        "    7 pruned       1 1.00000 1.00000 @ 1",
        "    6 pruned       1 1.00000 1.00000 @ 1",
        "8/100 trials, 3 done, 4 pruned, 1 cached",
        "42 s left | 1 min 15 s so far",
    ]


@pytest.mark.parametrize("width", [80, 60, 40, 20])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 8, 13, 14, 23, 50])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_never_wider_and_never_higher(width: int, height: int, glyphs: Glyphs) -> None:
    told = story()
    told.start(11, **{"a-parameter-of-a-very-long-name" * 3: "ü漢字" * 30, "nothing": None})
    told.epoch(11, 0.1)
    found = lines(told, width, height, glyphs)
    assert len(found) <= height
    assert max(map(cell_len, found)) <= width
    if glyphs is ASCII:
        assert all(line.isascii() for line in found if "ü" not in line)
    if width >= 40 and height >= 2:
        assert any(line.startswith("best 0.10000 in trial 11") for line in found)
    if height >= 2:
        assert any(line.startswith("8/100 trials") for line in found)
    if height >= 3:
        assert any(line.startswith("42 s left") for line in found)


def test_before_the_first_epoch() -> None:
    told = Story("NDCG@10", "RMSE")
    told.start(1, size=5)
    found = lines(told)
    assert found[0] == "als-ml1m · NDCG@10 (higher is better), RMSE (lower is better)"
    assert found[1] == "best none yet"
    told.epoch(1, 0.25, RMSE=0.9)
    assert lines(told)[1:3] == ["best 0.25000 in trial 1, epoch 1 · front 1", "     size 5"]


def test_a_trial_that_is_continued_aims_at_its_own_epochs() -> None:
    told = story()
    told.apply("continued", trial=2, epochs=7)
    told.apply("started", trial=2)
    assert "    2  training                  1/7  1.20000" in "\n".join(lines(told))


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([5.0], "▄"),
        ([2.0, 2.0, 2.0], "▄▄▄"),
        (range(8), BLOCKS),
        ([7, 6, 5, 4, 3, 2, 1, 0], BLOCKS[::-1]),
        ([0.0, math.nan, 7.0], "▁ █"),
        ([math.inf, 1.0, 2.0], " ▁█"),
        ([math.nan, math.inf], "  "),
        # Means of two: 0.5, 2.5, ..., 30.5 of which the highest and the lowest are the ends.
        (range(32), "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"),
        ([-1e308, 1e308], "▁█"),
    ],
)
def test_known_curves(values: Any, drawn: str) -> None:
    assert spark(list(values)) == drawn
    assert spark(list(values), levels=ASCII_BLOCKS) == drawn.translate(
        str.maketrans(BLOCKS, ASCII_BLOCKS)
    )


def test_long_curves_are_means_over_shares_without_what_is_not_finite() -> None:
    assert resample([1.0, 3.0, math.nan, 5.0, math.nan, math.inf], 3)[:2] == [2.0, 5.0]
    assert math.isnan(resample([1.0, 3.0, math.nan, 5.0, math.nan, math.inf], 3)[2])


@given(st.lists(st.floats(), max_size=60), st.integers(1, 20))
def test_a_curve_has_a_character_for_each_share(values: list[float], cells: int) -> None:
    drawn = spark(values, cells)
    assert len(drawn) == min(len(values), cells)
    assert set(drawn) <= {*BLOCKS, " "}
    if any(map(math.isfinite, values)):
        assert drawn.strip()


def test_parameters_that_differ() -> None:
    told, tally = Story(), Tally()

    def names() -> list[str]:
        tally.update(told.record.trials.values())
        return tally.names

    told.suggest(1, size=5, kind="a")
    assert names() == ["size", "kind"], "one trial shows all"
    told.suggest(2, size=5, kind="a")
    assert names() == []
    told.suggest(3, size=5, kind="b", margin=None)
    assert names() == ["kind", "margin"]
    told.suggest(4, kind="a")
    assert names() == ["size", "kind", "margin"]


@pytest.mark.parametrize(
    ("name", "value", "width", "text"),
    [
        ("rate", 0.0123456, 30, "rate 0.01235"),
        ("rate", 1e-12, 30, "rate 1e-12"),
        ("size", 100_000, 30, "size 100000"),
        ("deep", True, 30, "deep true"),
        ("layers", [64, 32], 30, "layers [64, 32]"),
        ("regularization.of.the.items.user", 1, 80, "…ation.of.the.items.user 1"),
        ("kind", "x" * 40, 80, "kind " + "x" * 17 + "…"),
        ("kind", "a\x1b[31m\nb", 80, "kind a [31m b"),
    ],
)
def test_settings_in_a_few_characters(name: str, value: Any, width: int, text: str) -> None:
    assert setting(name, value, width, UNICODE) == text


@given(st.text(max_size=40), st.integers(0, 30))
def test_shortened_texts_fit_and_command_no_terminal(text: str, width: int) -> None:
    found = cut(text, width, UNICODE)
    assert cell_len(found) <= max(width, 0)
    assert found.isprintable()
    assert clean(text).isprintable()


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1), st.integers(9, 30))
def test_parts_are_laid_out_whole(parts: list[str], width: int) -> None:
    assert ", ".join(flowing(parts, width)) == ", ".join(parts)
    assert all(len(line) <= width for line in flowing(parts, width))
    assert joined(parts, width, " ").split(" ")[0] == parts[0]
    assert len(joined(parts, width, " ")) <= width


def test_time_left_counts_down_by_itself() -> None:
    """A trial takes 10 s: after 2 of 10, with one half done, 7.5 are left."""
    told, hands, tally = Story(), Hands(), Tally()
    clock = Clock(10, tally, hands)

    def see() -> None:
        tally.update(told.record.trials.values())
        clock.update(tally)

    hands.at += 100  # Ray starts
    told.start(1)
    see()
    assert (clock.left(), clock.pace(tally)) == (None, None)
    told.epoch(1, 1.0)
    hands.at += 20
    told.end(1)
    told.trial(2, [1.0])
    see()
    assert clock.left() == pytest.approx(20 / 2 * 8)
    assert clock.pace(tally) == pytest.approx(60 * 2 / 20)
    told.start(3)
    hands.at += 5
    see()
    assert clock.left() == pytest.approx(75), "it goes on while no trial ends"
    told.trial(4, [1.0])
    see()
    assert clock.left() == pytest.approx(25 / 3.5 * 6.5)
    hands.at += 200
    assert clock.left() is None, "longer than foreseen: nobody knows"
    assert clock.elapsed() == 325


def test_what_came_from_the_store_says_nothing_about_time_and_pace() -> None:
    told, hands, tally = Story(), Hands(), Tally()
    told.trial(1, [1.0, 1.0])
    tally.update(told.record.trials.values())
    clock = Clock(10, tally, hands)
    told.trial(2, [1.0], cached=True)
    told.start(3)
    tally.update(told.record.trials.values())
    clock.update(tally)
    hands.at += 60
    assert (clock.left(), clock.pace(tally)) == (None, None)
    told.epoch(3, 1.0)
    tally.update(told.record.trials.values())
    clock.update(tally)
    assert clock.pace(tally) == pytest.approx(1.0), "the epochs of before are none of this command"


def test_trials_of_a_killed_command_are_no_part_of_what_runs_now() -> None:
    told, tally, hands = Story(), Tally(), Hands()
    told.apply("opened", pid=1, host="h", version="0", workers=2, trials=9, resumed=False)
    for number in (1, 2, 3):
        told.start(number)
        told.epoch(number, 0.9)
    told.apply("opened", pid=2, host="h", version="0", workers=2, trials=9, resumed=True)
    tally.update(told.record.trials.values())
    clock = Clock(9, tally, now=hands)
    hands.at += 1000  # until Ray has started
    clock.update(tally)
    told.apply("started", trial=1)
    tally.update(told.record.trials.values())
    clock.update(tally)
    hands.at += 60
    told.epoch(1, 0.8)
    told.end(1)
    tally.update(told.record.trials.values())
    clock.update(tally)
    assert not take(told.record, tally, ABOUT).running
    assert clock.pace(tally) == pytest.approx(1.0), "an epoch in the minute since its first trial"
    assert clock.left() == pytest.approx(8 * 60)
    (line,) = [line for line in lines(told) if "interrupted" in line and "trials" in line]
    assert line.startswith("1/100 trials: 1 done, ") and line.endswith("2 interrupted")


@given(st.lists(st.sampled_from(["start", "epoch", "cached", "end", "more", "kill"]), max_size=40))
def test_tallies_follow_the_record(steps: list[str]) -> None:
    told, tally, number = Story(), Tally(), 0
    for step in steps:
        if step == "more" and number and told.record.trials[number].finished:
            told.apply("continued", trial=number, epochs=99)
            told.apply("started", trial=number)
        elif step == "kill":
            told.apply("opened", pid=1, host="h", version="0", workers=1, trials=9, resumed=True)
        if step in {"more", "kill"}:
            tally.update(told.record.trials.values())
            continue
        running = number and not told.record.trials[number].finished
        if step == "start" or not running:
            number += 1
            told.start(number)
        elif step == "end":
            told.end(number, *(("done", "plateau") if number % 2 else ("error", "E")))
        else:
            told.epoch(number, 1.0, cached=step == "cached")
        tally.update(told.record.trials.values())
    counts = told.record.counts()
    assert tally.trained == counts["epochs"] - counts["cached_epochs"]
    assert tally.cached == counts["cached"]
    assert {name: tally.states[name] for name in ("done", "error", "training")} == {
        name: counts[name] for name in ("done", "error", "training")
    }
    assert tally.finished == counts["done"] + counts["error"]
    assert tally.written == 500 * tally.trained
    trials = told.record.trials.values()
    assert tally.running == [trial for trial in trials if trial.state == "training"]
    ended = [trial for trial in trials if trial.finished]
    assert tally.latest == sorted(ended, key=lambda t: t.ended or "", reverse=True)[:6]


def test_many_events_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look(*args: Any) -> Any:
        looks.append(1)
        return take(*args)

    monkeypatch.setattr("recsearch.display.live.take", look)
    monkeypatch.setattr(LiveDisplay, "_tick", lambda self: None)
    told = Story()
    display = LiveDisplay(Console(file=io.StringIO(), force_terminal=True, width=80, height=24))
    display.begin(told.record, 100, ABOUT)
    before = len(looks)
    told.start(1)
    for _ in range(100):
        told.epoch(1, 0.5)
        display.update(told.record)
    assert len(looks) == before
    for _ in range(3):
        display.draw()
    assert len(looks) == before + 1
    display.end()


def test_a_terminal_of_ascii_alone_gets_nothing_else() -> None:
    curve = "█▆▅▅▄▃▂▁".translate(str.maketrans(BLOCKS, ASCII_BLOCKS))
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80, height=24))
    told = story()
    display.begin(told.record, 100, ABOUT)
    display.draw()
    display.end()
    stream.flush()
    assert f"8/30  0.87000  0.87000 @ 8  {curve}".encode() in raw.getvalue()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NO_COLOR", no_color), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80, height=24))
    told = story()
    display.begin(told.record, 100, ABOUT)
    display.draw()
    display.end()
    assert ("\x1b[36m" in stream.getvalue()) == (not no_color)
    assert ("\x1b[3" in stream.getvalue()) == (not no_color)
