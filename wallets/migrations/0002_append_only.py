"""0002: status changes are append-only: the database refuses UPDATE and DELETE."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION wallets_statuschange_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallets_statuschange is append-only';
END $$;
CREATE TRIGGER wallets_statuschange_append_only BEFORE UPDATE OR DELETE ON wallets_statuschange
    FOR EACH ROW EXECUTE FUNCTION wallets_statuschange_refuse();
"""
REVERSE = """
DROP TRIGGER wallets_statuschange_append_only ON wallets_statuschange;
DROP FUNCTION wallets_statuschange_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
