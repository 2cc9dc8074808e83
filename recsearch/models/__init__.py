"""Recommender models behind one protocol: train by epoch, save, continue, score, hand out.

Listing `FAMILIES` imports no machine-learning library; `resolve` imports the one adapter it needs.
"""

from __future__ import annotations

from recsearch.models.protocol import Family, Model, Remade, Work
from recsearch.models.registry import FAMILIES, FamilyEntry, resolve, variant_of

__all__ = ["FAMILIES", "Family", "FamilyEntry", "Model", "Remade", "Work", "resolve", "variant_of"]
