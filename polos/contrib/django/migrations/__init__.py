"""One migration for each of Polos's schemas, from the first that Django knew."""
