"""The tables of schema 0005, made by Polos's own migrations; here only their models are named."""

from django.db import migrations, models

from polos.contrib.django.schema import schema_operation


class Migration(migrations.Migration):
    """From nothing to schema 0005."""

    initial = True

    # Polos's own migrations use a connection of their own, for which SQLite's lock must be free.
    atomic = False

    operations = [
        schema_operation("0005", first=True),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("step_key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=32)),
                ("turn", models.IntegerField()),
                ("position", models.IntegerField()),
                ("value", models.BinaryField(null=True)),
                ("failure", models.BinaryField(null=True)),
                ("attempts", models.IntegerField()),
                ("started_at", models.BigIntegerField(null=True)),
                ("created_at", models.BigIntegerField()),
                ("history", models.BinaryField(null=True)),
            ],
            options={
                "db_table": "polos_checkpoints",
                "ordering": ("turn", "position"),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Execution",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("project_id", models.CharField(max_length=255)),
                ("workflow_id", models.CharField(max_length=255, verbose_name="workflow")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("waiting", "waiting"),
                            ("completed", "completed"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        max_length=16,
                    ),
                ),
                ("payload", models.BinaryField()),
                ("result", models.BinaryField(null=True)),
                ("failure", models.BinaryField(null=True)),
                ("queue", models.CharField(max_length=255, null=True)),
                ("priority", models.IntegerField(null=True)),
                ("session_id", models.CharField(max_length=255, null=True, verbose_name="session")),
                ("user_id", models.CharField(max_length=255, null=True, verbose_name="user")),
                (
                    "deployment_id",
                    models.CharField(max_length=255, null=True, verbose_name="deployment"),
                ),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("parent_step_key", models.CharField(max_length=255, null=True)),
                ("root_execution_id", models.CharField(max_length=255, null=True)),
                ("created_at", models.BigIntegerField()),
                ("started_at", models.BigIntegerField(null=True)),
                ("finished_at", models.BigIntegerField(null=True)),
                ("wake_at", models.BigIntegerField(null=True)),
                ("deadline_at", models.BigIntegerField(null=True)),
                ("cancel_requested_at", models.BigIntegerField(null=True)),
                ("claims", models.IntegerField(verbose_name="attempts")),
                ("recoveries", models.IntegerField()),
                (
                    "lease_worker",
                    models.CharField(max_length=255, null=True, verbose_name="worker"),
                ),
                ("retried", models.IntegerField()),
                ("forked_from", models.CharField(max_length=255, null=True)),
            ],
            options={
                "db_table": "polos_executions",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="SeenWorkflow",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("project_id", models.CharField(max_length=255)),
            ],
            options={
                "db_table": "polos_workflows",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("tag", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "db_table": "polos_tags",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Wait",
            fields=[
                ("step_key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=32)),
                ("due_at", models.BigIntegerField(null=True)),
                ("target_id", models.CharField(max_length=255, null=True)),
                ("attempts", models.IntegerField()),
                ("failure", models.BinaryField(null=True)),
                ("started_at", models.BigIntegerField(null=True)),
                ("history", models.BinaryField(null=True)),
            ],
            options={
                "db_table": "polos_waits",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
