from celery import shared_task

from demoapp.models import Widget


@shared_task
def add(x, y):
    return x + y


@shared_task(name="multiply_two_numbers")
def mul(x, y):
    return x * y


@shared_task
def xsum(numbers):
    return sum(numbers)


@shared_task
def count_widgets():
    return Widget.objects.count()


@shared_task
def make_widget(name):
    return Widget.objects.create(name=name).name
