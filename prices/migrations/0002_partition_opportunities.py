"""0002: make the opportunities table partitioned by day of ``detected_at``.

The table is empty at this point. Daily partitions are made ahead and dropped by a task; the default
partition catches whatever falls between, so no insert is ever lost. Reverse: back to a plain table.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE prices_opportunity RENAME TO prices_opportunity_plain;
CREATE TABLE prices_opportunity (LIKE prices_opportunity_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (detected_at);
ALTER TABLE prices_opportunity ADD PRIMARY KEY (id, detected_at);
CREATE TABLE prices_opportunity_default PARTITION OF prices_opportunity DEFAULT;
CREATE INDEX opportunity_newest ON prices_opportunity (chain_id, id DESC);
CREATE INDEX opportunity_live ON prices_opportunity (chain_id) WHERE ended_at IS NULL;
CREATE SEQUENCE prices_opportunity_number AS bigint;
DROP TABLE prices_opportunity_plain;
"""
REVERSE = """
CREATE TABLE prices_opportunity_plain (LIKE prices_opportunity INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
DROP TABLE prices_opportunity;
DROP SEQUENCE prices_opportunity_number;
ALTER TABLE prices_opportunity_plain RENAME TO prices_opportunity;
ALTER TABLE prices_opportunity ADD PRIMARY KEY (id);
"""


class Migration(migrations.Migration):
    dependencies = [("prices", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
