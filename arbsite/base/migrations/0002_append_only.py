"""0002: audit events are append-only: the database refuses UPDATE and DELETE."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION base_auditevent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'base_auditevent is append-only';
END $$;
CREATE TRIGGER base_auditevent_append_only BEFORE UPDATE OR DELETE ON base_auditevent
    FOR EACH ROW EXECUTE FUNCTION base_auditevent_refuse();
"""
REVERSE = """
DROP TRIGGER base_auditevent_append_only ON base_auditevent;
DROP FUNCTION base_auditevent_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("base", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
