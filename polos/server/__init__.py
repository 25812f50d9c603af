"""The HTTP API, in the process of Flower."""
