"""From bytes on a socket to a decoded call, and back."""
