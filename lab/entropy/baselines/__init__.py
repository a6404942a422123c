"""Class-map coders of published entries, made again from their descriptions to be compared with: no codec uses them."""
