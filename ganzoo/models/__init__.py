"""The variants: one paper, one file."""
