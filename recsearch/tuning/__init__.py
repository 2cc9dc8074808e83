"""Running trials on Ray Tune. Nothing outside this package imports ray."""
