"""Models in memory, of Keras 3 and of tf_keras: saved to a temporary file and treated as any other model.

``library`` finds a model's Keras and whether the graph is all that the model computes. ``parts`` finds the functional
models in a subclassed one. ``names`` names custom functions and classes in the file. ``saving`` saves and loads.
``same`` compares a model with its repaired one. ``check_repair`` is ``check`` and ``repair`` on models.
``drop_in`` is for export scripts.
"""

from .check_repair import check_model, prover_of, repair_model
from .drop_in import repaired, repairing
from .saving import saved

__all__ = ["check_model", "prover_of", "repair_model", "repaired", "repairing", "saved"]
