"""The finished mixture written out for other trainers."""
