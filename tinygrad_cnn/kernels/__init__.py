"""Arrays in, arrays out. No Tensor, no graph: the only place that is written for speed."""
