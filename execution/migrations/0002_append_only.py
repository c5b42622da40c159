"""0002: booked profit and loss are append-only: the database refuses UPDATE and DELETE."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION execution_pnlentry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'execution_pnlentry is append-only';
END $$;
CREATE TRIGGER execution_pnlentry_append_only BEFORE UPDATE OR DELETE ON execution_pnlentry
    FOR EACH ROW EXECUTE FUNCTION execution_pnlentry_refuse();
"""
REVERSE = """
DROP TRIGGER execution_pnlentry_append_only ON execution_pnlentry;
DROP FUNCTION execution_pnlentry_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("execution", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
