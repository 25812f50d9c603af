"""The pages that Flower gets from Polos."""
