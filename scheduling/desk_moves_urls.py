from django.urls import path

from scheduling import desk_block_views as block
from scheduling import desk_move_views as move

urlpatterns = [
    path("desk/<slug:clinic>/moves/<slug:reference>/", move.drop, name="desk_move"),
    path("desk/<slug:clinic>/moves/<slug:reference>/targets.json", move.targets, name="desk_targets"),
    path("desk/<slug:clinic>/moves/<slug:reference>/undo/", move.undo, name="desk_undo"),
    path("desk/<slug:clinic>/cancellations/<slug:reference>/", move.cancellation, name="desk_cancel"),
    path("desk/<slug:clinic>/blocks/", block.new, name="desk_block"),
    path("desk/<slug:clinic>/blocks/opening/", block.opening, name="desk_unblock"),
    path("desk/<slug:clinic>/blocks/<int:pk>/removal/", block.removal, name="desk_unextra"),
]
