"""A search that many workers share and that a kill does not end: trials in one storage."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.extras import need_modules
from speckflex._support.text import first_line, shown
from speckflex.errors import SpeckflexError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from optuna import Study
    from optuna.storages import RDBStorage

    from speckflex.training.sweep.axes import Axis
    from speckflex.training.sweep.trial import OnTwin

__all__ = ["Plan", "TrialRow", "best_row", "open_study", "rows_of", "run_study"]

ABOUT = "speckflex"  # what the study says of the search that it belongs to
ERROR = "error"  # why a trial has no figures
LOAD, ACCURACY, SECONDS = "peak_load", "accuracy", "seconds"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a search looks for.

    Args:
        axes: the settings that vary.
        trials: number of trials, those of all workers and of earlier runs together.
        timeout: seconds after which this worker begins no other trial; None for no limit.
        max_load: load that no core may exceed; None for no limit.
        seed: of the drawn values.
        about: what all workers of a search must have in common, as JSON types.
    """

    axes: tuple[Axis, ...]
    trials: int
    timeout: float | None = None
    max_load: float | None = None
    seed: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRow:
    """A trial that is done.

    Args:
        number: from 0, in the order in which trials began.
        values: of the settings that vary.
        accuracy: on the twin; None where the trial failed.
        peak_load: of the busiest core in its busiest 10 ms; None where the trial failed.
        keeps_up: whether the load is within the limit.
        seconds: that it took.
        error: why it failed; "" where it did not.
    """

    number: int
    values: Mapping[str, Any]
    accuracy: float | None
    peak_load: float | None
    keeps_up: bool
    seconds: float
    error: str = ""


def open_study(storage: str | Path, plan: Plan) -> Study:
    """Return the study in a storage, a new one if there is none.

    Args:
        storage: a file, which many processes may share, or an URL of a database of Optuna, such
            as "sqlite:///sweep.db".
        plan: of the search.

    Raises:
        TrainingError: the storage can't be used, or belongs to another search.
        MissingExtraError: Optuna is not installed.
    """
    need_modules("optuna", work="a sweep")
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        place = _database(str(storage)) or JournalStorage(JournalFileBackend(str(storage)))
        study = optuna.create_study(
            storage=place,
            study_name="speckflex",
            direction="maximize",
            load_if_exists=True,
            sampler=_sampler(plan, 0),
        )
        if ABOUT not in study.user_attrs:
            study.set_user_attr(ABOUT, dict(plan.about))
        known = dict(study.user_attrs[ABOUT])
    except Exception as error:  # each storage has errors of its own
        raise TrainingError(
            f"{storage}: can't be used as the storage of a sweep ({first_line(error)}): choose"
            " another"
        ) from error
    for key, value in plan.about.items():
        if known.get(key) != value:
            raise TrainingError(
                f"{storage}: belongs to a sweep with another {key} ({known.get(key)}, now"
                f" {value}): choose another folder, or the same options"
            )
    return study


def _database(url: str) -> RDBStorage | None:
    """Return the storage in a database; None for a file."""
    if "://" not in url:
        return None
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    # a pool would keep connections open until Python ends
    return RDBStorage(url, engine_kwargs={"poolclass": NullPool})


def run_study(
    study: Study,
    plan: Plan,
    train: Callable[[dict[str, Any], int], OnTwin],
    *,
    watch: Callable[[list[TrialRow]], None] | None = None,
) -> list[TrialRow]:
    """Run trials until the plan's number is done, or its time is over; return all that are done.

    What a trial draws depends on the seed, on its number and on the trials before it, so that a
    search that was killed goes on as it would have. A trial that repeats the values of another
    takes its figures, since a training repeats itself.

    Args:
        study: of `open_study`.
        plan: of the search.
        train: returns the figures of a training with the given values; the second argument is the
            number of the trial.
        watch: called with all rows after each trial.
    """
    started = time.monotonic()
    while len(rows := rows_of(study, plan)) < plan.trials:
        if plan.timeout is not None and time.monotonic() - started >= plan.timeout:
            break
        _run_trial(study, plan, train, rows)
        if watch is not None:
            watch(rows_of(study, plan))
    return rows_of(study, plan)


def _run_trial(
    study: Study, plan: Plan, train: Callable[[dict[str, Any], int], OnTwin], rows: list[TrialRow]
) -> None:
    from optuna.trial import TrialState

    trial = study.ask()
    study.sampler = _sampler(plan, trial.number)
    values = {axis.name: axis.draw(trial) for axis in plan.axes}
    same = next((row for row in rows if row.values == values), None)
    begun = time.monotonic()
    try:
        if same is not None and same.accuracy is not None and same.peak_load is not None:
            accuracy, load = same.accuracy, same.peak_load
        else:
            log.info("trial %d: %s", trial.number, values)
            on_twin = train(values, trial.number)
            accuracy, load = on_twin.accuracy, on_twin.peak_load
    except SpeckflexError as error:
        trial.set_user_attr(ERROR, first_line(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    except BaseException:  # interrupted: it does not count, and another takes its place
        study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr(LOAD, load)
    if plan.max_load is not None:
        trial.set_constraint("load", load - plan.max_load)
    trial.set_user_attr(SECONDS, round(time.monotonic() - begun, 3))
    study.tell(trial, accuracy)


def rows_of(study: Study, plan: Plan) -> list[TrialRow]:
    """Return the trials that are done, in the order of their numbers.

    Raises:
        TrainingError: what the storage holds are no trials.
    """
    try:
        return _rows(study, plan)
    except Exception as error:  # each storage has errors of its own
        raise TrainingError(
            f"the storage of the sweep is damaged ({first_line(error)}): choose another"
        ) from error


def _rows(study: Study, plan: Plan) -> list[TrialRow]:
    rows = []
    for trial in study.get_trials(deepcopy=False):
        complete, notes = trial.state.name == "COMPLETE", trial.user_attrs
        if not complete and ERROR not in notes:
            continue
        load = _number(notes, LOAD)
        limit = float("inf") if plan.max_load is None else plan.max_load
        rows.append(
            TrialRow(
                number=trial.number,
                values=dict(trial.params),
                accuracy=None if trial.value is None or not complete else float(trial.value),
                peak_load=load,
                keeps_up=complete and load is not None and load <= limit,
                seconds=_number(notes, SECONDS) or 0.0,
                error=shown(str(notes.get(ERROR, ""))),
            )
        )
    return rows


def _number(notes: Mapping[str, Any], name: str) -> float | None:
    """Return what a trial notes as a number; its storage may come from another machine."""
    value = notes.get(name)
    return None if value is None else float(value)


def best_row(rows: list[TrialRow]) -> TrialRow | None:
    """Return the trial with the best accuracy of those within the load, then the least load."""
    within = [row for row in rows if row.keeps_up]
    return max(
        within,
        key=lambda row: (row.accuracy or 0.0, -(row.peak_load or 0.0), -row.number),
        default=None,
    )


def _sampler(plan: Plan, number: int) -> Any:
    """Return what draws the values of one trial."""
    from optuna.samplers import TPESampler

    seed = int(np.random.SeedSequence((plan.seed, number)).generate_state(1)[0])
    # values are drawn one by one, after the trial has its number
    return TPESampler(seed=seed, multivariate=False)
