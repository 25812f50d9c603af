"""A project in a package: ``celery -A proj worker``."""

from celery import Celery

app = Celery("proj", broker="amqp://", backend="rpc://", include=["proj.tasks"])

app.conf.update(
    result_expires=3600,
    task_acks_late=True,
    task_routes={"proj.tasks.mul": {"queue": "products"}},
)

if __name__ == "__main__":
    app.start()
