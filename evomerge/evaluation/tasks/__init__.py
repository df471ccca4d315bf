"""Built-in evaluators: one file each; the registry imports them all."""
