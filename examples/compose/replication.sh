#!/bin/bash
# Lets everybody with a password replicate from the server that PGHOST names, or from the local one, in the containers of docker-compose.yml.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -X -U "${PGUSER:-postgres}" -d "${PGDATABASE:-postgres}" <<'SQL'
DO $$
DECLARE
    line text := 'host replication all all ' || current_setting('password_encryption');
BEGIN
    IF NOT EXISTS (SELECT FROM regexp_split_to_table(pg_read_file(current_setting('hba_file')), E'\n') t(l) WHERE l = line) THEN
        EXECUTE format('COPY (SELECT %L) TO PROGRAM %L', line, 'cat >>' || current_setting('hba_file'));
    END IF;
END
$$;
SELECT pg_reload_conf();
SQL
