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
    "cli/test_manners.py::test_standard_input": 2,
    "cli/test_no_tensorflow.py::test_check": 3,
    "cli/test_no_tensorflow.py::test_repair": 6,
    "cli/test_no_tensorflow.py::test_the_others": 2,
    "cli/test_plan.py::test_an_unedited_plan_repairs_as_repair_does": 2,
    "cli/test_text.py::test_any_encoding_of_standard_output": 2,
    "cli/test_text.py::test_the_command_that_is_printed_repairs_the_model": 2,
    "export/test_factorisations.py::test_singular_values": 3,
    "export/test_factorisations.py::test_systems_of_equations": 3,
    "export/test_keras_2_both_ways.py::test_both_directions": 6,
    "export/test_layers.py::test_some_argument_sets": 8,
    "export/test_masked_merges.py::test_masked_operands": 2,
    "export/test_mixed_dtypes.py::test_merges_promote": 2,
    "export/test_ops_nn.py::test_some_argument_sets": 4,
    "export/test_ops_reductions.py::test_every_reduction_over_every_axis": 2,
    "export/test_passes.py::test_random_networks": 2,
    "export/test_preprocessing.py::test_cases_of_the_table": 3,
    "export/test_recurrent.py::test_activations_of_the_operators": 3,
    "export/test_recurrent.py::test_both_directions_are_one_operator": 2,
    "export/test_recurrent.py::test_convolutional_cases": 3,
    "export/test_recurrent.py::test_every_case_of_the_table_is_right_or_stateful": 2,
    "export/test_recurrent.py::test_other_activations_are_a_loop": 3,
    "export/test_recurrent.py::test_outputs_and_states": 3,
    "export/test_recurrent.py::test_states_are_inputs_and_outputs": 3,
    "export/test_structure_ops.py::test_the_same_bits": 4,
    "files/test_hdf5_forms.py::test_equal_to_h5py": 6,
    "formats/keras/old_form/test_written.py::test_it_computes_what_the_valid_model_does": 6,
    "formats/keras/old_form/test_written.py::test_the_state_of_the_optimizer_stays_with_its_weights": 2,
    "formats/keras/test_carried_state.py::test_from_h5_to_an_archive": 2,
    "formats/keras/test_layer_order.py::test_applications": 2,
    "formats/keras/test_layer_order.py::test_the_zoo": 9,
    "formats/keras/test_legacy_h5.py::test_what_keras_wrote_is_read_and_its_copy_loads": 2,
    "formats/keras/test_renewed.py::test_the_installed_keras_computes_what_the_older_one_did": 6,
    "formats/keras/test_versions.py::test_a_file_of_that_version": 6,
    "formats/keras/test_weight_order.py::test_a_small_application_with_nodes_inserted": 2,
    "formats/keras/test_weight_order.py::test_every_layer_keeps_its_weights": 4,
    "formats/keras/test_weight_order.py::test_files_that_state_no_names": 3,
    "formats/keras/test_weight_order.py::test_slots_stay_with_their_variables": 6,
    "formats/keras/upgrade/test_equal.py::test_an_hdf5_file": 6,
    "formats/keras/upgrade/test_equal.py::test_archive": 3,
    "formats/keras/upgrade/test_malformed.py::test_only_errors_of_ours": 3,
    "formats/keras/upgrade/test_optimizers.py::test_left_out": 2,
    "formats/keras/upgrade/test_optimizers.py::test_metrics_of_one_output_of_several": 4,
    "formats/keras/upgrade/test_optimizers.py::test_state": 6,
    "formats/keras/upgrade/test_optimizers.py::test_the_state_in_an_archive": 2,
    "formats/saved_model/test_check.py::test_nothing_is_found_in_a_valid_model": 3,
    "formats/saved_model/test_check.py::test_the_shapes_are_those_that_tensorflow_recorded": 4,
    "formats/saved_model/test_keras_2.py::test_layers_that_keep_variables_otherwise": 2,
    "formats/saved_model/test_keras_2.py::test_weights_of_one_shape_keep_their_places": 3,
    "formats/saved_model/test_keras_2.py::test_what_is_refused_is_named": 2,
    "formats/saved_model/test_served.py::test_it_computes_what_the_signature_does": 4,
    "formats/saved_model/test_traced.py::test_a_custom_layer": 3,
    "formats/saved_model/test_traced.py::test_what_a_function_does_not_say_is_refused": 4,
    "hostile/test_advisories.py::test_an_advisory": 2,
    "hostile/test_configs.py::test_large": 5,
    "hostile/test_fuzz.py::test_mutants": 3,
    "hostile/test_platforms.py::test_a_command": 2,
    "hostile/test_table.py::test_its_twin_is_taken": 6,
    "hostile/test_table.py::test_refused": 4,
    "mutation/test_edits.py::test_a_file_that_keras_writes_loads_and_is_as_wrong": 9,
    "mutation/test_edits.py::test_keras_makes_of_an_edited_file_what_the_table_says": 9,
    "mutation/test_mutants.py::test_a_mutant_is_repaired_to_the_original_function": 9,
    "mutation/test_mutants.py::test_a_tie_is_refused_and_the_truth_is_listed": 9,
    "mutation/test_mutants.py::test_check_its_plan_and_repair_say_the_same": 24,
    "passes/test_complete.py::test_every_broadcast_is_listed_when_its_unit_axes_are_lost": 2,
    "passes/test_contractions.py::test_the_recorded_shape_asks_for_one_reading": 3,
    "passes/test_downstream.py::test_demands_are_carried_back_to_the_product": 3,
    "passes/test_family.py::test_a_sum_is_repaired_to_the_original_function": 3,
    "passes/test_joining.py::test_joined_as_the_file_records": 3,
    "passes/test_joining.py::test_joined_as_the_weights_behind_it_ask": 3,
    "passes/test_no_tile.py::test_no_repaired_gate_has_a_tile": 2,
    "passes/test_readings.py::test_what_evidence_asks_for_is_repaired": 3,
    "proof/test_checks.py::test_the_samples_are_proven": 2,
    "proof/test_exported.py::test_a_sequential_model": 3,
    "proof/test_limits.py::test_a_small_file_of_a_huge_layer": 2,
    "proof/test_masked.py::test_a_product_of_masked_vectors_is_proven": 2,
    "rules/test_table.py::test_the_nodes_compute_the_equation": 2,
    "shapes/test_layer_properties.py::test_agrees_with_keras": 4,
    "shapes/test_layer_refusals.py::test_no_configuration_breaks_a_rule": 6,
    "shapes/test_layers.py::test_masks_agree_with_keras": 2,
    "shapes/test_open_sizes.py::test_open_sizes": 2,
    "shapes/test_ops.py::test_case": 6,
    "shapes/test_ops_properties.py::test_agrees_with_keras": 3,
    "shapes/test_tf_rules.py::test_sizes_are_those_of_tensorflow": 8,
    "test_conversion.py::test_a_model_comes_over": 4,
    "test_valid.py::test_a_small_application_is_left_alone": 2,
    "test_valid.py::test_legal_broadcasting_is_left_alone": 9,
    "test_valid.py::test_the_originals_of_the_mutants_are_left_alone": 9,
    "tools/test_valid_models.py::test_nothing_is_found_in_valid_models": 4,
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
