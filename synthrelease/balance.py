"""``GANOverSampler`` for the pipelines of imbalanced-learn."""

from synthrelease.synthesis.imblearn_sampler import GANOverSampler

__all__ = ["GANOverSampler"]
