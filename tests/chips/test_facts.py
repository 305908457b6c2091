"""Each fact has one name, a source, and an experiment where it is not documented."""

from collections import Counter

import pytest
from hardware_facts import PAGE, with_table

from speckflex.chips.facts import FACTS
from speckflex.twin.settings import EngineTimes, TwinSettings
from speckflex.virtual import Unverified


def test_each_fact_has_one_name_and_a_source():
    assert Counter(item.name for item in FACTS).most_common(1)[0][1] == 1
    assert all(item.source for item in FACTS)


def test_what_is_not_documented_has_an_experiment():
    doubtful = [item for item in FACTS if item.certainty != "documented"]
    assert doubtful
    assert all(item.experiment for item in doubtful)


def test_the_page_on_hardware_has_the_table_of_these_facts():
    """Renew it with `python tests/support/hardware_facts.py`."""
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text
    assert all(f"| {item.subject} |" in text for item in FACTS)


def test_the_twin_and_the_virtual_devkit_assume_what_the_facts_say():
    assumed = {item.name: item.value for item in FACTS}
    settings = vars(TwinSettings())
    shared = assumed.keys() & settings.keys() - {"engine_times"}
    assert {"output_order", "merge_feature", "withheld_spike", "decimator_table"} <= shared
    assert {name: settings[name] for name in shared} == {name: assumed[name] for name in shared}
    fitted = EngineTimes()
    event = fitted.event + 100 * fitted.update + 2 * fitted.spike
    assert event == pytest.approx(assumed["engine_times"])
    assert Unverified().model_reset == assumed["model_reset"]
    assert Unverified().reads_while_running == assumed["reads_while_running"]
