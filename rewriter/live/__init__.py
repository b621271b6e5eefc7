"""Models in memory, of Keras 3 and of tf_keras: they are saved to a temporary file and treated as any other model.

``library`` says which Keras a model is of and whether its graph is all that it computes, ``parts`` which functional
models a subclassed one holds, ``names`` under which names its functions and classes stand in the file, ``saving``
writes it and makes a model of a file again, ``same`` compares the two, ``check_repair`` is ``check`` and ``repair`` on
models, and ``drop_in`` what export scripts use.
"""

from .check_repair import check_model, prover_of, repair_model
from .drop_in import repaired, repairing
from .saving import saved

__all__ = ["check_model", "prover_of", "repair_model", "repaired", "repairing", "saved"]
