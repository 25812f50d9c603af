"""What joins Polos to the frameworks that people have; each needs its own extra."""
