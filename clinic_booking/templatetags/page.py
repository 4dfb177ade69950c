"""Template tags for every page (built in, no {% load %})."""

from django import template

register = template.Library()
