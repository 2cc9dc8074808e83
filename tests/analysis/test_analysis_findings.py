"""Verification, gains, failures, storage and citation, as a page says them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fabricate import ML1M, Fabricated, als_run

from analysis import render_run
from analysis.citation import bibtex_text, citation
from analysis.failures import failures_info, log_tail
from analysis.gains import gains_info
from analysis.overview import overview_info
from analysis.storage import (
    restorable_epochs,
    restorable_words,
    storage_info,
    survey_store,
)
from analysis.verification import verification_info
from recsearch.findings import keep_gains, keep_verification, read_gains
from recsearch.run import RunView
from recsearch.run_paths import RunPaths
from recsearch.state import Part
from recsearch.store import Store


def a_run(root: Path, **settings) -> RunView:
    run = Fabricated(trials=2, space={"x": {"type": "float", "min": 0, "max": 1}}, **settings)
    run.opened()
    run.baseline("bias", RMSE=0.9)
    run.trial(1, {"x": 0.5}, [0.85, 0.84], origin="default")
    run.trial(2, {"x": 0.2}, [0.83, 0.80, 0.82])
    run.closed()
    return RunView.open(run.write(root))


def gains_of(view: RunView, low: float, high: float, **other) -> None:
    trial, row = view.best()
    document = {
        "metric": "RMSE",
        "best": {"trial": trial.number, "epoch": row.epoch, "key": trial.key},
        "gains": [
            {"over": "default", "users": 100, "value": 0.84, "gain": 0.04, "low": low,
             "high": high, "p_wilcoxon": 0.01, "p_wilcoxon_holm": 0.02, "p_t": 0.03,
             "better": True},
        ],
        "missing": [],
        **other,
    }  # fmt: skip
    keep_gains(view.path, document)


class TestGains:
    def test_a_gain_whose_interval_is_above_zero_is_real(self, tmp_path):
        view = a_run(tmp_path)
        gains_of(view, 0.01, 0.07)
        info = gains_info(view)
        assert info.rows[0].real
        assert info.rows[0].p_text == "0.0200"
        assert info.sentences == (
            "By RMSE the best is 0.04 better than the default configuration, with a 95 % "
            "interval from +0.01 to +0.07 over 100 users (p 0.0200): more than the choice of users "
            "explains.",
        )
        assert not any("users" in doubt for doubt in overview_info(view).doubts)

    def test_a_gain_within_the_noise_is_a_doubt(self, tmp_path):
        view = a_run(tmp_path)
        gains_of(view, -0.01, 0.07)
        assert "may be the choice of users alone" in gains_info(view).sentences[0]
        assert any("choice of users alone" in doubt for doubt in overview_info(view).doubts)

    def test_gains_of_another_best_are_not_shown(self, tmp_path):
        view = a_run(tmp_path)
        gains_of(view, 0.01, 0.07, best={"trial": 1, "epoch": 2, "key": "k"})
        assert gains_info(view) is None
        doubts = overview_info(view).doubts
        assert any("was not measured: recsearch compare runs/als-ml1m" in d for d in doubts)

    def test_an_interval_and_a_test_that_disagree_are_no_certainty(self, tmp_path):
        view = a_run(tmp_path)
        gains_of(view, 0.001, 0.07)
        document = read_gains(view.path)
        document["gains"][0]["p_wilcoxon_holm"] = 0.31
        keep_gains(view.path, document)
        info = gains_info(view)
        assert not info.rows[0].real
        assert "interval and test disagree" in info.sentences[0]

    @pytest.mark.parametrize("damage", [
        {"gains": None}, {"gains": [{}]}, {"gains": [{"over": "bias", "users": None}]},
        {"missing": None}, {"missing": [1]}, {"metric": 3, "gains": 5},
    ])  # fmt: skip
    def test_a_damaged_file_is_as_none(self, tmp_path, damage):
        view = a_run(tmp_path)
        gains_of(view, 0.01, 0.07, **damage)
        assert gains_info(view) is None
        render_run(view.path, tmp_path / "reports")

    def test_where_there_is_no_rival_nobody_is_sent_to_compare(self, tmp_path):
        run = Fabricated(trials=1, space={"x": {"type": "bool"}})
        run.opened()
        run.trial(1, {"x": True}, [0.8], origin="default")
        run.closed()
        page = render_run(run.write(tmp_path), tmp_path / "reports").read_text()
        assert "There is nothing to compare the best with" in page
        assert "recsearch compare" not in page

    def test_what_could_not_be_measured_is_named(self, tmp_path):
        view = a_run(tmp_path)
        missing = [{"over": "default", "reason": "epoch 2 is not in the store"}]
        gains_of(view, 0.01, 0.07, gains=[], missing=missing)
        assert gains_info(view).missing == ("default configuration: epoch 2 is not in the store",)


class TestVerification:
    def test_each_status(self, tmp_path):
        view = a_run(tmp_path)
        trial, row = view.best()
        assert verification_info(view).status == "none"
        keep_verification(view.path, "another", 1, {"passed": True, "time": ""})
        assert verification_info(view).status == "outdated"
        keep_verification(view.path, trial.key, row.epoch, {
            "passed": True, "time": "2026-07-01T10:00:00Z", "difference": 0.0, "bit_equal": True,
        })  # fmt: skip
        found = verification_info(view)
        assert found.status == "verified"
        assert "2026-07-01 10:00 UTC" in found.words
        assert "bit-equal" in found.words
        keep_verification(view.path, trial.key, row.epoch, {
            "passed": False, "time": "2026-07-01T10:00:00Z", "message": "RMSE differs\nmore",
        })  # fmt: skip
        found = verification_info(view)
        assert (found.status, found.words[-12:]) == ("failed", "RMSE differs")
        keep_verification(view.path, trial.key, row.epoch, {
            "passed": True, "time": 5, "difference": None,
        })  # fmt: skip
        assert verification_info(view).status == "verified", "damaged, and no reason to fail"

    def test_before_a_best_there_is_nothing_to_verify(self, tmp_path):
        assert verification_info(RunView.open(Fabricated().write(tmp_path))) is None


class TestFailures:
    def test_a_failure_has_its_epoch_message_configuration_and_the_end_of_its_log(self, tmp_path):
        view = RunView.open(als_run(tmp_path))
        folder = RunPaths(view.path).trial(5)
        folder.mkdir(parents=True)
        lines = [f"line {n} in {Path.home()}/lib.py" for n in range(40)]
        (folder / "err.log").write_text("\n".join(lines) + "\n")
        info = failures_info(view)
        assert info.failures == ((5, 3, "non_finite", "RMSE is nan at epoch 3"),)
        (case,) = info.cases
        assert json.loads(case.config) == view.trial(5).config
        assert case.log.splitlines() == [f"line {n} in ~/lib.py" for n in range(25, 40)]
        assert case.log_file == "runs/als-ml1m/trials/0005/err.log"
        assert info.kinds == (("non_finite", 1),)
        assert info.commands == ("recsearch search searches/als.toml ml1m --retry-errors",)

    def test_a_long_log_is_read_from_its_end_and_an_absent_one_is_empty(self, tmp_path):
        log = tmp_path / "err.log"
        assert log_tail(log) == ""
        log.write_bytes(b"x" * 100_000 + b"\nsecond \xff last\nlast\n")
        assert log_tail(log, lines=2) == "second \N{REPLACEMENT CHARACTER} last\nlast"

    def test_a_run_without_errors_has_no_commands(self, tmp_path):
        assert failures_info(a_run(tmp_path)) == ((), (), 0, (), ())

    def test_a_link_in_place_of_a_log_is_not_followed(self, tmp_path):
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "err.log").symlink_to(tmp_path / "secret")
        assert log_tail(tmp_path / "err.log") == ""

    def test_hundreds_of_failures_are_a_table_and_a_few_cases(self, tmp_path):
        run = Fabricated(trials=300, space={"x": {"type": "float", "min": 0, "max": 1}})
        run.opened()
        for number in range(1, 301):
            run.trial(number, {"x": 0.5}, [], state="error", reason="OOM", message="none left")
        view = RunView.open(run.write(tmp_path))
        info = failures_info(view)
        assert (len(info.failures), len(info.cases), info.total) == (200, 20, 300)
        page = render_run(view.path, tmp_path / "reports")
        assert "The first 200 of 300" in page.read_text()
        assert page.stat().st_size < 500_000

    def test_commands_name_the_run_as_readers_do(self, tmp_path):
        run = Fabricated(trials=1, max_epochs=2, space={"x": {"type": "bool"}})
        run.opened()
        run.trial(1, {"x": True}, [0.9, 0.8], reason="max_epochs")
        run.event("continued", trial=1, epochs=4)
        run.event("started", trial=1)
        run.event("error", trial=1, epoch=3, kind="OOM", message="")
        view = RunView.open(run.write(tmp_path))
        (command,) = failures_info(view).commands
        assert command == "recsearch continue runs/als-ml1m --trial 1 --epochs 4 --retry-errors"


class TestStorage:
    def test_what_is_restorable_is_what_every_fold_has(self):
        there = {"a": (1, 2, 3), "b": (2, 3, 4)}
        assert restorable_epochs(("a",), there) == {1, 2, 3}
        assert restorable_epochs(("a", "b"), there) == {2, 3}
        assert restorable_epochs(("a", "gone"), there) == set()

    def test_a_real_store_is_looked_up_by_run_codec_and_policy(self, tmp_path):
        view = a_run(tmp_path)
        view.identity["run_id"] = "run-a"
        url = str(tmp_path / "store")
        with Store.open(url) as store:
            for trial, epoch, run in ((1, 2, "run-a"), (2, 2, "run-a"), (2, 3, "run-a")):
                key = view.trial(trial).key
                state = {"m": Part({"w": bytes_of(trial * 10 + epoch)})}
                store.save(key, epoch, state, {
                    "owner": f"{run}/{trial}", "run": run, "retention": "best+last",
                })  # fmt: skip
            other = {"owner": "z/1", "run": "z", "retention": "all"}
            store.save("f" * 64, 1, {"m": Part({"w": bytes_of(1)})}, other)
        usage = survey_store(url)
        info = storage_info(view, usage)
        assert info.problem == ""
        assert (info.restorable, info.trials, info.complete, info.best) == ((3, 5), (2, 2), 0, True)
        assert sum(row.blobs for row in info.codecs) == 3
        assert sum(row.raw for row in info.codecs) == 3 * 5000
        assert [row.checkpoints for row in info.shares] == [3, 3, 4]
        assert "3 of 5 epochs can be restored now, of 2 of 2 trials" in restorable_words(info)
        assert "The best epoch can be restored." in restorable_words(info)

    def test_an_epoch_whose_pack_is_gone_cannot_be_restored(self, tmp_path):
        view = a_run(tmp_path)
        url = str(tmp_path / "store")
        with Store.open(url) as store:
            key, (_, row) = view.trial(2).key, view.best()
            store.save(key, 1, {"m": Part({"w": bytes_of(1)})}, {"run": "a"})
            before = set(Path(url).rglob("*.pack"))
            store.save(key, row.epoch, {"m": Part({"w": bytes_of(2)})}, {"run": "a"})
        assert storage_info(view, survey_store(url)).best
        for pack in set(Path(url).rglob("*.pack")) - before:
            pack.unlink()
        info = storage_info(view, survey_store(url))
        assert (info.best, info.restorable) == (False, (1, 5))

    def test_the_store_that_is_given_is_the_one_looked_at(self, tmp_path):
        view = a_run(tmp_path)
        moved = str(tmp_path / "moved")
        with Store.open(moved) as store:
            store.save(view.trial(1).key, 1, {"m": Part({"w": bytes_of(1)})}, {"run": "a"})
        there = render_run(view.path, tmp_path / "reports", moved).read_text()
        assert "1 of 5 epochs can be restored now" in there
        assert "not at hand" in render_run(view.path, tmp_path / "reports").read_text()

    def test_a_store_that_is_gone_is_said_to_be(self, tmp_path):
        view = a_run(tmp_path)
        info = storage_info(view, survey_store(str(tmp_path / "nowhere")))
        assert restorable_words(info) == (
            "What can be restored is not known: its store is not at hand."
        )
        assert not (tmp_path / "nowhere").exists()

    def test_a_best_that_is_dropped_is_said_to_be(self, tmp_path):
        view = a_run(tmp_path)
        url = str(tmp_path / "store")
        with Store.open(url) as store:
            store.save(view.trial(1).key, 1, {"m": Part({"w": bytes_of(1)})}, {"run": "run-a"})
        words = restorable_words(storage_info(view, survey_store(url)))
        assert "The best epoch is not in the store" in words


def bytes_of(seed: int):
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, 5000, dtype=np.uint8)


class TestCitation:
    def test_it_names_result_versions_and_ids_and_what_it_was_made_with(self, tmp_path):
        view = a_run(tmp_path)
        text = citation(view)
        assert text.startswith("@misc{als-ml1m,\n  title = {ALS BiasedMF on MovieLens 1M:")
        assert "Best RMSE 0.80000. recsearch 0.1.0, lenskit 2025.8.1; data set d1d1d1d1d1d1" in text
        assert "year  = {2026}" in text
        for key in ("ekstrand2020lenskit", "liaw2018tune", "harper2015movielens"):
            assert f"{{{key}," in text

    def test_other_data_and_models_are_not_credited_to_others(self, tmp_path):
        dataset = {**ML1M, "title": "my shop", "name": "csv:shop.csv"}
        text = citation(a_run(tmp_path, dataset=dataset, model="mine:Model"))
        assert "harper" not in text
        assert "ekstrand" not in text

    @pytest.mark.parametrize(
        ("text", "escaped"),
        [
            ("A & B_1", r"A \& B\_1"),
            ("{x}\n  y", r"\{x\} y"),
            ("~\\^", r"\textasciitilde{}\textbackslash{}\textasciicircum{}"),
        ],
    )
    def test_markup_is_escaped(self, text, escaped):
        assert bibtex_text(text) == escaped
