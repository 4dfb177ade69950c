import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from clinic_booking import insecure

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic_booking.settings")
known = {name: getattr(settings, name) for name in ("PRODUCTION", "DATABASE_ROLE")}
if reasons := list(insecure.of_serving(known)):
    raise insecure.Insecure(reasons)
application = get_wsgi_application()
