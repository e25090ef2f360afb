"""Distances and similarities between vectors."""

from tinygrad_cnn.ops.distance import cosine_similarity, pairwise_distance, pdist

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]
