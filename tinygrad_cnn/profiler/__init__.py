"""Where the time of a program goes: each op forward and backward, and each layer. PyTorch's ``torch.profiler``."""

from tinygrad_cnn.profiler.recording import ProfilerActivity, profile, record_function
from tinygrad_cnn.profiler.tables import Average, AverageList, Event

__all__ = ["Average", "AverageList", "Event", "ProfilerActivity", "profile", "record_function"]
