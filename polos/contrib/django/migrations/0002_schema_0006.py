"""Schema 0006: keys of the HTTP API, what steps were given, and what workers count."""

from django.db import migrations

from polos.contrib.django.schema import schema_operation


class Migration(migrations.Migration):
    """From schema 0005 to 0006."""

    dependencies = [("polos", "0001_schema_0005")]

    atomic = False

    operations = [schema_operation("0006")]
