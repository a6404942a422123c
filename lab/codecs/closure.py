"""The decoder closure of a family; `lab.closure` holds the walk, so that the book can repeat it without the bench."""

from lab.closure import closure, relative_name

__all__ = ["closure", "relative_name"]
