"""The commands of detui, one module each; a module's `command` is what runs."""
