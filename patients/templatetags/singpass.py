from django import template

from patients import singpass

register = template.Library()


@register.simple_tag
def singpass_is_on() -> bool:
    return singpass.is_on()
