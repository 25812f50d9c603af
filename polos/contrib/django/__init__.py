"""Polos as an app of a Django project.

With ``"polos.contrib.django"`` in ``INSTALLED_APPS``, Polos keeps its executions in the project's
own database, ``manage.py migrate`` makes their tables, the admin shows them, and connections that
steps open are closed as Celery closes those of tasks.

Example::

    # settings.py
    INSTALLED_APPS = [..., "polos.contrib.django"]

    # celery.py, as Celery's own guide has it, and one line more
    app = Celery("shop")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
    polos = Polos(app)
"""
