"""Recipes: reading them with the place of every value, merging their layers, resolving arms × seeds × stages."""
