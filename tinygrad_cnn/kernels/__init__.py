"""Arrays in, arrays out. No Tensor, no graph: the only place that is written for speed."""

from tinygrad_cnn.kernels.memory import keep_freed_memory

keep_freed_memory()
