"""A journal that grows, read once: the trials that have changed since the last look."""

from __future__ import annotations

from recsearch.epochs import TrialView
from recsearch.errors import RecsearchError
from recsearch.journal import parse_line
from recsearch.record import Record
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


class Feed:
    """Reads on where it stopped; a torn last line is not there yet.

    Args:
        run: the run, opened; its record is read anew from the first line.

    Attributes:
        view: the run, as far as it was read.
    """

    def __init__(self, run: RunView):
        first, *others = run.objectives
        self.view = RunView(run.path, run.identity, Record(first, tuple(others)))
        self._path = RunPaths(run.path).journal
        self._offset = self._lines = 0
        self._seen: dict[int, TrialView] = {}

    def changed(self) -> list[TrialView]:
        """The trials that are not as they were at the last call, by number.

        Raises:
            RecsearchError: a line is damaged, or the journal is no longer the one that it was.
            OSError: the journal cannot be read.
        """
        record = self.view.record
        for line in self._new_lines():
            self._lines += 1
            record.apply_line(self._lines, parse_line(self._path, self._lines, line))
        trials = sorted(record.trials.items())
        found = [trial for number, trial in trials if self._seen.get(number) is not trial]
        self._seen.update((trial.number, trial) for trial in found)
        return found

    def _new_lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            if self._offset:
                raise self._replaced() from None
            return []
        if size < self._offset:
            raise self._replaced()
        whole = text.rfind(b"\n") + 1
        self._offset += whole
        return text[:whole].splitlines()

    def _replaced(self) -> RecsearchError:
        return RecsearchError(
            f"{self._path}: the journal is no longer the one that was read so far.",
            hint="The run was moved aside or deleted; the same command reads what is there now.",
        )
