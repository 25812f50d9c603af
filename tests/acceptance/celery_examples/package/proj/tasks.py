from .celery import app


@app.task
def add(x, y):
    return x + y


@app.task(rate_limit="100/s")
def mul(x, y):
    return x * y


@app.task(ignore_result=False, acks_late=False)
def xsum(numbers):
    return sum(numbers)
