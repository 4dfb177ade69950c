#!/bin/sh
# Run once by the image of PostgreSQL when the database is made (docs/adr/0015).
set -eu
psql --set ON_ERROR_STOP=1 --set "password=$POSTGRES_WEB_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE clinic_app NOLOGIN;
CREATE ROLE clinic_visitor NOLOGIN;
CREATE ROLE clinic_web LOGIN NOINHERIT PASSWORD :'password' IN ROLE clinic_app, clinic_visitor;
SQL
