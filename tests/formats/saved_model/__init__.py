"""SavedModel folders, made by TensorFlow, by Keras 2 (``tf_keras``) and by Keras 3 for each run of the tests."""
