"""The terminal of detui: commands, screens and widgets."""
