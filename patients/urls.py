from django.urls import path

from patients import views

urlpatterns = [
    path("me/messages/", views.my_messages, name="my_messages"),
    path("messages/stop/<str:token>/", views.stop_messages, name="stop_messages"),
]
