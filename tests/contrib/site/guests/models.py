"""Those who were here."""

from __future__ import annotations

from django.db import models


class Guest(models.Model):
    name = models.CharField(max_length=50)
