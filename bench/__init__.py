"""Measurements, side by side with other systems: `python -m bench`, see README.md here."""
