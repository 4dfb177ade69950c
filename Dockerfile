FROM node:24-slim AS node
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.12-slim-trixie AS python
RUN python -m venv /venv
COPY requirements.txt ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM postgres:18-trixie AS postgres

# Of the same Debian as the image of PostgreSQL, whose package archive has the pg_dump of its version.
FROM python:3.12-slim-trixie
ENV PATH=/venv/bin:/usr/lib/postgresql/18/bin:$PATH PYTHONUNBUFFERED=1 ENVIRONMENT=production
COPY --from=postgres /usr/local/share/keyrings/postgres.gpg.asc /usr/local/share/keyrings/
COPY --from=postgres /etc/apt/sources.list.d/pgdg.list /etc/apt/sources.list.d/
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client-18 && rm -rf /var/lib/apt/lists/* \
    && pg_dump --version | grep -q ' 18\.' && pg_restore --version
RUN useradd --uid 10001 --create-home app && install -d -o app -m 700 /backups /copies
WORKDIR /app
COPY --from=python /venv /venv
COPY --from=node /app/node_modules node_modules
COPY . .
# None of these values is used or kept: production settings do not load without them.
RUN SECRET_KEY="$(head -c 64 /dev/urandom | base64 -w 0)" SITE_URL=https://build.invalid ALLOWED_HOSTS=build.invalid \
    FIELD_KEYS="build:$(head -c 32 /dev/urandom | base64)" BLIND_INDEX_KEYS="build:$(head -c 32 /dev/urandom | base64)" \
    SECOND_FACTOR_KEYS="$(head -c 64 /dev/urandom | base64 -w 0)" AUDIT_KEYS="$(head -c 64 /dev/urandom | base64 -w 0)" \
    DPO_EMAIL=dpo@build.invalid METRICS_TOKEN=- STRIPE_SECRET_KEY=- STRIPE_PUBLISHABLE_KEY=- \
    STRIPE_WEBHOOK_SECRET=- DATABASE_URL=postgres://- REDIS_URL=redis://- python manage.py collectstatic --no-input \
    && python -m compileall -q .
USER app
EXPOSE 8000
# A thread that ended would take its database connection with it: hence the long idle time.
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--no-ws", \
     "--blocking-threads", "2", "--blocking-threads-idle-timeout", "600", \
     "--respawn-failed-workers", "clinic_booking.wsgi:application"]
