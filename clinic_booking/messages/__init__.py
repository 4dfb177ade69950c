"""Messages to patients: kinds, texts, channels, and `sending.send`, which is the only way out.

The kernel knows no patients: whom to tell, in which language and by which channels comes with the call
(`patients.messages`). docs/messages.md says how the parts work together.
"""
