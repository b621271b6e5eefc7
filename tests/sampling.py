"""Tables of cases of which a usual run takes samples; ``-m slow`` runs the others.

A row here is a test with many cases that go through the same code: each says something of its own, and a fault of a
kind shows in several. Cases that are the only ones of their kind have a test of their own, which is not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

# The test, and how many of its cases there are to one that is run.
SAMPLED = {
    "cli/test_no_tensorflow.py::test_repair": 3,
    "export/test_keras_2_both_ways.py::test_both_directions": 3,
    "export/test_layers.py::test_some_argument_sets": 2,
    "export/test_preprocessing.py::test_cases_of_the_table": 3,
    "files/test_hdf5_forms.py::test_equal_to_h5py": 3,
    "formats/keras/old_form/test_written.py::test_it_computes_what_the_valid_model_does": 3,
    "formats/keras/test_layer_order.py::test_the_zoo": 3,
    "formats/keras/test_renewed.py::test_the_installed_keras_computes_what_the_older_one_did": 3,
    "formats/keras/test_versions.py::test_a_file_of_that_version": 3,
    "formats/keras/test_weight_order.py::test_every_layer_keeps_its_weights": 2,
    "formats/keras/test_weight_order.py::test_slots_stay_with_their_variables": 3,
    "formats/keras/upgrade/test_equal.py::test_an_hdf5_file": 3,
    "formats/keras/upgrade/test_malformed.py::test_only_errors_of_ours": 3,
    "formats/keras/upgrade/test_optimizers.py::test_state": 3,
    "formats/saved_model/test_check.py::test_nothing_is_found_in_a_valid_model": 2,
    "formats/saved_model/test_check.py::test_the_shapes_are_those_that_tensorflow_recorded": 2,
    "formats/saved_model/test_served.py::test_it_computes_what_the_signature_does": 2,
    "formats/saved_model/test_traced.py::test_what_a_function_does_not_say_is_refused": 2,
    "hostile/test_configs.py::test_large": 3,
    "hostile/test_table.py::test_its_twin_is_taken": 2,
    "hostile/test_table.py::test_refused": 2,
    "mutation/test_mutants.py::test_a_mutant_is_repaired_to_the_original_function": 2,
    "mutation/test_mutants.py::test_a_tie_is_refused_and_the_truth_is_listed": 3,
    "mutation/test_mutants.py::test_check_its_plan_and_repair_say_the_same": 3,
    "shapes/test_layer_refusals.py::test_no_configuration_breaks_a_rule": 3,
    "shapes/test_ops.py::test_case": 3,
    "test_valid.py::test_legal_broadcasting_is_left_alone": 3,
    "test_valid.py::test_the_originals_of_the_mutants_are_left_alone": 3,
}


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark as slow what is no sample: all but the first case of a table and each ``SAMPLED[table]``-th after it."""
    seen: Counter[str] = Counter()
    for item in items:
        table = item.nodeid.partition("[")[0].removeprefix("tests/")
        if table in SAMPLED:
            if seen[table] % SAMPLED[table]:
                item.add_marker(pytest.mark.slow)
            seen[table] += 1
