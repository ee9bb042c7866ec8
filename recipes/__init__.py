"""Data of detui: recipes by family, and the data sets that they name."""
