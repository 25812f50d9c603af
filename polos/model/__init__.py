"""The nouns of Polos, in the standard library's types only."""
