"""A repaired ONNX model run by ONNX Runtime, beside the original."""
