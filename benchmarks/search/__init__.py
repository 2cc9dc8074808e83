"""Benches of whole searches: their speed, and what their strategies cost."""
