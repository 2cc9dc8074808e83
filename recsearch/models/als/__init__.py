"""LensKit's ALS models, trained by an exact solver on BLAS that is faster than LensKit's own."""
