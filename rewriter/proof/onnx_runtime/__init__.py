"""Run a repaired ONNX model in ONNX Runtime, and compare it with the original."""
