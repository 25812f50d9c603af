"""The only room that knows SQLAlchemy: schema, migrations and every statement."""
