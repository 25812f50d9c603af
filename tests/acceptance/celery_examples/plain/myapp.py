"""A project in one file: ``celery -A myapp worker``."""

from celery import Celery

app = Celery("myapp", broker="amqp://guest@localhost//")


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=2, default_retry_delay=0.1)
def third_time(self):
    """Succeeds when it is tried for the third time."""
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries


if __name__ == "__main__":
    app.start()
