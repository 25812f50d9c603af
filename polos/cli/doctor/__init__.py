"""Facts about a deployment, and what is to be said about them."""
