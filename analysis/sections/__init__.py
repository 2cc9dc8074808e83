"""What each section of a page says: one context per partial template."""
