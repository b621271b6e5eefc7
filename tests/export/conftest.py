"""Export tests compare numbers: TensorFlow runs on the CPU and logs only errors."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
