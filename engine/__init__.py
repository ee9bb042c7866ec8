"""The engine of detui: recipes, runs, evaluation and records. It knows no user interface."""
