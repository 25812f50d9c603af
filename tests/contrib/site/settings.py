"""A Django project with nothing of its own but Polos; the environment says which databases."""

from __future__ import annotations

import json
import os

import pymysql

# Django's backend asks for mysqlclient, which has to be compiled.
pymysql.install_as_MySQLdb()

SECRET_KEY = "of no use outside of tests"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
ROOT_URLCONF = "tests.contrib.site.urls"
USE_TZ = True
DATABASES = json.loads(os.environ["SITE_DATABASES"])
DATABASE_ROUTERS = json.loads(os.environ.get("SITE_ROUTERS", "[]"))
POLOS_DJANGO_DATABASE = os.environ.get("SITE_ALIAS", "default")
CELERY_BROKER_URL = os.environ.get("SITE_BROKER", "memory://")
CELERY_POLOS_DATABASE_URL = os.environ.get("SITE_POLOS_URL", "")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "polos.contrib.django",
    "tests.contrib.site.guests",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
