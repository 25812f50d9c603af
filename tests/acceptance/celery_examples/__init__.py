"""Projects of the three shapes that Celery's own examples have, none of which knows Polos."""
