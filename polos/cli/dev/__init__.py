"""``polos dev``: a server and a worker for whoever is writing workflows."""
