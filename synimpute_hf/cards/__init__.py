"""Cards: what a repository on the Hub says about itself, from the facts of its runs and from nothing else.

A card's body holds one section of ours for each configuration, between two comments; what a person writes outside of
them stays. Of its metadata, a person's own entries stay, too.
"""

from .base import audit_view, crossval_view, merge_card, merge_metadata, metadata_of, review_view, section_of
from .dataset import dataset_card, dataset_metadata, dataset_section
from .model import model_card, model_metadata, model_section, unlike_training

__all__ = [
    "audit_view",
    "crossval_view",
    "dataset_card",
    "dataset_metadata",
    "dataset_section",
    "merge_card",
    "merge_metadata",
    "metadata_of",
    "model_card",
    "model_metadata",
    "model_section",
    "review_view",
    "section_of",
    "unlike_training",
]
