"""Pictures; matplotlib, from the extra ``train``, is imported here and nowhere else."""

from tinygrad_cnn.viz.curves import plot_curves

__all__ = ["plot_curves"]
